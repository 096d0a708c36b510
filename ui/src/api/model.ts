// What the API answers, by the names that the page uses. The types come from the daemon's OpenAPI document; fields that
// a daemon may not serve yet are added here as optional.

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Missing = Schemas["Missing"];
export type MissingMap = Schemas["MissingMap"];
export type Loss = Schemas["Loss"];
export type Culprit = Schemas["Culprit"];
export type Ledger = Schemas["Ledger"];
export type LedgerLine = Schemas["LedgerLine"];
export type Snapshot = Schemas["Snapshot"];
export type SnapshotList = Schemas["SnapshotList"];
export type SeriesSet = Schemas["SeriesSet"];
export type Service = Schemas["Service"];
export type ServiceSeries = Schemas["ServiceSeries"];
export type Replica = Schemas["Replica"];
export type Event = Schemas["Event"];
export type Status = Schemas["Status"];
export type Capability = Schemas["Capability"];
export type Capture = Schemas["Capture"];
export type Node = Schemas["Node"];
export type FunctionDelta = Schemas["FunctionDelta"];
export type Diff = Schemas["Diff"];
export type Flamegraph = Schemas["Flamegraph"];
export type Rejected = Schemas["Rejected"];

export type Evidence = Schemas["Evidence"] & {
  /** Log-odds for (+) or against (-) a leak; `null` where it only describes. */
  weight?: number | null;
};

// An older daemon serves none of these.
type Probabilities = "decided_by" | "explains_share_of_need" | "leak_probability" | "limit_probability";

export type Verdict = Omit<Schemas["Verdict"], "evidence" | Probabilities> & {
  evidence: Evidence[];
  /** The probability that what grows does not end by itself. */
  leak_probability?: number | null;
  /** By horizon: the probability that the limit is reached. */
  limit_probability?: Record<string, number> | null;
  /** What will decide it, and when. */
  decided_by?: { what: string; at?: string | null }[] | null;
  /** How much of what the service needs the finding explains. */
  explains_share_of_need?: number | null;
};

export type Target = Omit<Schemas["Target"], "verdict"> & { verdict?: Verdict | null };
export type Step = Omit<Schemas["Step"], "evidence"> & { evidence: Evidence[] };
export type Investigation = Omit<Schemas["Investigation"], "verdict" | "steps"> & {
  verdict: Verdict;
  steps: Step[];
};
export type OomKill = Omit<Schemas["OomKill"], "verdict"> & { verdict?: Verdict | null };

/** One page of a list. */
export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
  losses?: Loss[];
}

/** An item of `GET /services/{name}/runs`. */
export type ServedRun = Schemas["Run"];

/** A run as it is drawn: memory by age of the process. */
export interface Run {
  id: string;
  started_at: string;
  ended_at: string | null;
  ended_by: string | null;
  version?: string | null;
  target?: string | null;
  age_seconds: number[];
  values: (number | null)[];
}
