import type { Generated, Selectable } from 'kysely';

/** A row of a table as a query returns it. */
export type TableRow<T extends keyof Database> = Selectable<Database[T]>;

/** Times are milliseconds since 1970. Columns called `data` are JSON: it may hold any text, which PostgreSQL's `text` may not. */
export interface Database {
  sessions: {
    session_id: string;
    /** In order of creation. */
    number: number;
    project: string;
    /** Hash of the values it was created with, to tell a repetition from a clash. */
    created_with: string;
    /** `Session` */
    data: string;
    /** The tools that clients have announced: `AnnouncedTool[]`. */
    tools: string;
    /** The number of the newest event. Each commit is a compare-and-set on it. */
    last_seq: number;
    /** The id of the commit that set it: the same commit again changes nothing. */
    last_commit: string | null;
    /** The bytes of all events so far, also of those that were evicted. */
    event_bytes: number;
    /** The title as it is searched. */
    search_text: string;
    /** `Environment`, or empty. */
    environment: string;
    /** The last use: sessions are listed by it. */
    used_at: number;
  };
  inputs: {
    session_id: string;
    /** The client's id; `@<run>/<input>`, which no client may use, where it was copied from the session that this one was forked from. */
    input_id: string;
    /** In order of arrival within the session; an interrupting input comes before those that wait. */
    position: number;
    status: 'queued' | 'delivered' | 'cancelled';
    run_id: string | null;
    /** Hash of the message, to tell a repetition from a clash. */
    sent_with: string;
    request_id: string;
    /** The id of its `input.accepted` event. */
    event_id: string;
    /** `InputData` */
    data: string;
  };
  runs: {
    run_id: string;
    session_id: string;
    status: string;
    /** How many processes have started and found it unfinished. */
    resumes: number;
    /** `Run`, and `isCancelled` */
    data: string;
  };
  items: {
    session_id: string;
    position: number;
    item_id: string;
    kind: string;
    /** 1 while it is in progress. */
    open: number;
    bytes: number;
    /** `Item` */
    data: string;
    /** Sent to the model only: `ModelOnly`. */
    hidden: string | null;
  };
  steps: {
    run_id: string;
    step: number;
    /** Empty once the session is deleted. */
    session_id: string;
    model: string;
    input_tokens: number;
    output_tokens: number;
    cached_tokens: number;
    cache_write_tokens: Generated<number>;
    reasoning_tokens: number;
    cost_usd: number | null;
    created_at: number;
  };
  approvals: {
    session_id: string;
    call_id: string;
    /** 1 while nobody has decided. */
    pending: number;
    /** The decision as JSON, to tell a repetition from a clash. */
    decided_with: string | null;
    /** `Approval`, and `resolution` once it is decided */
    data: string;
  };
  rules: {
    rule_id: string;
    /** Of scope `session`. */
    session_id: string | null;
    /** Of scope `project`. */
    project: string | null;
    /** `RememberedRule` */
    data: string;
  };
  session_events: {
    session_id: string;
    seq: number;
    ts: number;
    bytes: number;
    /** `sessions.event_bytes` after this one. */
    total_bytes: number;
    /** `EventData` */
    data: string;
  };
  results: {
    session_id: string;
    result_id: string;
    /** A text. */
    data: string;
  };
}
