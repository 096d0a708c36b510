// What the daemon keeps on disk, and the last reload of its configuration.

import type { Status } from "../api/model";
import { bytes, count } from "../lib/format";
import { readable } from "../lib/text";
import { Absent } from "../parts/absent";
import { Instant } from "../parts/text";

const TIERS: Record<string, string> = {
  raw: "every sample",
  minute: "by minute",
  hour: "by hour",
  profiles: "profiles of what grows",
  otherprofiles: "other profiles",
  runs: "runs of services",
  incidents: "OOM kills",
};

export function Disk({ store }: { store: Status["store"] }) {
  const { disk } = store;
  return (
    <section class="card" aria-labelledby="disk">
      <h2 id="disk">History on disk</h2>
      {disk ? (
        <>
          <p>
            {disk.state === "suspended" ? "Nothing is written" : "Written"}
            {disk.suspended_because ? `: ${readable(disk.suspended_because, 300)}` : null};{" "}
            {bytes(disk.bytes)} of at most {bytes(disk.max_bytes)}, {bytes(disk.written_bytes)} written since
            the daemon started.
            {disk.pinned > 0 ? (
              <>
                {" "}
                {disk.pinned === 1 ? "One OOM kill is" : `${count(disk.pinned)} OOM kills are`} pinned and
                {disk.pinned === 1 ? " stays" : " stay"}, with {bytes(disk.pinned_bytes)}.
              </>
            ) : null}
          </p>
          {disk.notes.map((note) => (
            <p key={note}>{readable(note, 300)}</p>
          ))}
          <table class="stacked">
            <thead>
              <tr>
                <th scope="col">Kept</th>
                <th scope="col" class="number">
                  Bytes
                </th>
                <th scope="col" class="number">
                  Files
                </th>
                <th scope="col">Oldest begins</th>
              </tr>
            </thead>
            <tbody>
              {disk.tiers.map((tier) => (
                <tr key={tier.name}>
                  <th scope="row">{TIERS[tier.name] ?? readable(tier.name, 40)}</th>
                  <td class="number">{bytes(tier.bytes)}</td>
                  <td class="number" data-label="Files">
                    {count(tier.partitions)}
                  </td>
                  <td data-label="Oldest begins">
                    {tier.oldest ? <Instant at={tier.oldest} /> : "nothing yet"}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      ) : (
        <p>
          History is in memory only: <Absent of={store} field="disk" full />
        </p>
      )}
    </section>
  );
}

export function Reload({ reload }: { reload: NonNullable<Status["config_reload"]> }) {
  return (
    <section class="card" aria-labelledby="reload">
      <h2 id="reload">Configuration, read again</h2>
      <p>
        <Instant at={reload.at} />:{" "}
        {reload.refused
          ? `refused, the one before is in force: ${readable(reload.refused, 400)}`
          : "in force"}
      </p>
      {reload.applied.length > 0 ? <p>New values of {reload.applied.join(", ")}.</p> : null}
      {reload.need_restart.length > 0 ? <p>After a restart: {reload.need_restart.join(", ")}.</p> : null}
    </section>
  );
}
