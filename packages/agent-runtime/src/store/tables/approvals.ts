import type { Approval, Resolution } from '@codelab/protocol';
import type { Kysely } from 'kysely';
import type { Write } from '../commit-queue.ts';
import { excluded } from '../excluded.ts';
import type { Reader } from '../reader.ts';
import { parseObject, reviveDates } from '../row-json.ts';
import type { Database, TableRow } from '../schema.ts';

export interface StoredApproval {
  sessionId: string;
  approval: Approval;
  pending: boolean;
  /** The decision as JSON, once there is one: a repetition has the same. */
  decisionJson?: string;
  resolution?: Resolution;
}

/** The column `data`. */
type ApprovalData = Approval & { resolution?: Resolution };

export interface ApprovalQueries {
  /** Returns those that nobody has decided on. Leaves out those that cannot be read. */
  approvals(sessionId: string): Promise<Approval[]>;
  approval(sessionId: string, callId: string): Promise<StoredApproval | undefined>;
}

export function createApprovalQueries({ db, query, parse }: Reader): ApprovalQueries {
  const parseApproval = (row: Pick<TableRow<'approvals'>, 'session_id' | 'call_id' | 'data'>) =>
    parse('approvals', row.session_id, row.call_id, () =>
      reviveDates(parseObject<ApprovalData>(row.data), ['createdAt', 'deadline']),
    );

  return {
    approvals: (sessionId) =>
      query(async () => {
        const found = await db
          .selectFrom('approvals')
          .select(['session_id', 'call_id', 'data'])
          .where('session_id', '=', sessionId)
          .where('pending', '=', 1)
          .execute();
        return found.flatMap((row) => parseApproval(row) ?? []);
      }),

    approval: (sessionId, callId) =>
      query(async () => {
        const row = await db
          .selectFrom('approvals')
          .selectAll()
          .where('session_id', '=', sessionId)
          .where('call_id', '=', callId)
          .executeTakeFirst();
        const found = row && parseApproval(row);
        if (row === undefined || found === undefined) return undefined;
        const { resolution, ...approval } = found;
        return {
          sessionId,
          approval,
          ...(resolution === undefined ? {} : { resolution }),
          pending: row.pending === 1,
          ...(row.decided_with === null ? {} : { decisionJson: row.decided_with }),
        };
      }),
  };
}

export function createApprovalStatements(db: Kysely<Database>) {
  return {
    approval({ sessionId, approval, pending, decisionJson, resolution }: StoredApproval): Write {
      const row = {
        session_id: sessionId,
        call_id: approval.callId,
        pending: pending ? 1 : 0,
        decided_with: decisionJson ?? null,
        data: JSON.stringify({ ...approval, ...(resolution === undefined ? {} : { resolution }) }),
      };
      return [
        db
          .insertInto('approvals')
          .values(row)
          .onConflict((c) =>
            c.columns(['session_id', 'call_id']).doUpdateSet(excluded('pending', 'decided_with', 'data')),
          )
          .compile(),
      ];
    },
  };
}
