// Fetches the profiles that a flame graph shows.

import { withQuery } from "../api/client";
import type { Diff, Flamegraph } from "../api/model";
import { useResource } from "../api/resource";
import { clock, profileUnit } from "../lib/format";
import { Loaded, Losses } from "../parts/frame";
import { FlameGraph, type GraphState } from "./graph";

/** What one screen can show; the rest is summed into `other`. */
const MAX_NODES = 20_000;

interface Props {
  /** A link of the API to a diff. */
  link: string;
  state: GraphState;
  change: (patch: Partial<GraphState>) => void;
  maxHeight?: number;
}

export function DiffGraph({ link, ...graph }: Props) {
  const resource = useResource<Diff>(withQuery(link, { max_nodes: MAX_NODES }), { keep: true });
  return (
    <Loaded resource={resource} what="profiles">
      {(diff) => (
        <>
          <Losses losses={diff.base.losses} of="earlier profile" />
          <Losses losses={diff.compare.losses} of="later profile" />
          <FlameGraph
            root={diff.tree}
            unit={profileUnit(diff.type, diff.unit)}
            top={diff.top}
            base={clock(new Date(diff.base.at))}
            compare={clock(new Date(diff.compare.at))}
            {...graph}
          />
        </>
      )}
    </Loaded>
  );
}

export function ProfileGraph({ link, ...graph }: Props) {
  const resource = useResource<Flamegraph>(withQuery(link, { format: "flamegraph", max_nodes: MAX_NODES }));
  return (
    <Loaded resource={resource} what="profile">
      {(profile) => (
        <>
          <Losses losses={profile.losses} of="profile" />
          <FlameGraph
            root={profile.tree}
            unit={profileUnit(profile.type, profile.unit)}
            top={[]}
            base={null}
            compare={clock(new Date(profile.at))}
            {...graph}
          />
        </>
      )}
    </Loaded>
  );
}
