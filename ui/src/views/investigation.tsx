// The guided workflow: every question answered, with what shows it, and Yes or No for whoever knows better.

import { useMemo, useState } from "preact/hooks";
import { ApiError, paths, postJson } from "../api/client";
import type { Event, Investigation, SeriesSet, Step, Target } from "../api/model";
import { useResource } from "../api/resource";
import { TimeSeries } from "../charts/timeseries";
import { type GraphState, PLAIN } from "../flame/graph";
import { DiffGraph } from "../flame/source";
import { percent } from "../lib/format";
import { readable } from "../lib/text";
import { Absent, whyAbsent } from "../parts/absent";
import { Loaded, Losses, WhenSeen } from "../parts/frame";
import { byUnit, marksOf, times } from "./charts";
import { MemoryChart } from "./memory";
import { EvidenceList, OtherExplanations, VerdictCard, viewOfLink } from "./verdict";

interface Props {
  target: Target;
  investigation: Investigation;
  events: readonly Event[];
  replace: (investigation: Investigation) => void;
}

export function InvestigationTab({ target, investigation, events, replace }: Props) {
  const { verdict, steps } = investigation;
  // What the heading tells already is not told twice.
  const told = new Set(target.losses.map(({ reason }) => reason));
  const more = investigation.losses.filter(({ reason }) => !told.has(reason));
  const overruled = steps.filter((step) => step.answered_by === "user");
  return (
    <div class="stack-of-cards">
      {overruled.length > 0 ? (
        <p class="overruled" role="status">
          {overruled.length === 1 ? "One answer was" : `${overruled.length} answers were`} given by a person;
          the verdict takes that into account.
        </p>
      ) : null}
      <VerdictCard verdict={verdict} />
      <Losses losses={more} />
      <section class="card">
        <MemoryChart
          target={target.id}
          events={events}
          verdict={verdict}
          title="Memory and what is to be expected"
        />
      </section>
      <h2 class="steps-title">How this was found</h2>
      <ol class="steps">
        {steps.map((step) => (
          <StepCard key={step.id} step={step} target={target} events={events} replace={replace} />
        ))}
      </ol>
      <OtherExplanations verdict={verdict} />
    </div>
  );
}

interface StepProps {
  step: Step;
  target: Target;
  events: readonly Event[];
  replace: (investigation: Investigation) => void;
}

const ANSWERS: Record<string, string> = { yes: "Yes", no: "No", unknown: "Not known" };

function StepCard({ step, target, events, replace }: StepProps) {
  const missing = Object.entries(step.missing);
  return (
    <li class={`card step ${step.answer}`} id={`step-${step.id}`}>
      <div class="step-head">
        <h3>{readable(step.question)}</h3>
        <p class="answer">
          <span class={`answer-word ${step.answer}`}>{ANSWERS[step.answer] ?? step.answer}</span>{" "}
          {step.answered_by === "user" ? (
            <span class="by">a person says so</span>
          ) : step.answer === "unknown" ? null : typeof step.confidence === "number" ? (
            <span class="by">{percent(step.confidence)} sure</span>
          ) : (
            <Absent of={step} field="confidence" />
          )}
        </p>
      </div>
      <div class={step.series.length > 0 ? "step-body" : ""}>
        <div>
          {step.skipped_because ? <p class="skipped">Skipped: {readable(step.skipped_because)}</p> : null}
          <p class="why">{readable(step.why, 800)}</p>
          {missing.length > 0 ? (
            <ul class="missing">
              {missing.map(([field]) => (
                <li key={field}>
                  {field.replaceAll("_", " ")}: {whyAbsent(step, field).long}
                </li>
              ))}
            </ul>
          ) : null}
          <EvidenceList evidence={step.evidence} target={target.id} title="Evidence" />
          <details class="teaches">
            <summary>What this means</summary>
            <p>{readable(step.teaches, 2000)}</p>
          </details>
        </div>
        {step.series.length > 0 ? (
          <WhenSeen height={200}>{() => <StepChart step={step} target={target} events={events} />}</WhenSeen>
        ) : null}
      </div>
      {step.diff ? <StepDiff link={step.diff} target={target.id} open={step.answer === "yes"} /> : null}
      <Overrule step={step} target={target.id} replace={replace} />
    </li>
  );
}

function StepChart({ step, target, events }: Omit<StepProps, "replace">) {
  const resource = useResource<SeriesSet>(paths.series(target.id, step.series), { live: target.id });
  return (
    <Loaded resource={resource} what="series">
      {(set) => <StepSeries set={set} events={events} question={step.question} />}
    </Loaded>
  );
}

function StepSeries({
  set,
  events,
  question,
}: {
  set: SeriesSet;
  events: readonly Event[];
  question: string;
}) {
  const at = useMemo(() => times(set), [set]);
  const groups = useMemo(() => byUnit(set), [set]);
  const marks = useMemo(() => marksOf(events), [events]);
  if (groups.length === 0) return <p class="hint">No value of these series was read yet.</p>;
  return (
    <>
      {groups.map(({ unit, lines }) => (
        <TimeSeries
          key={unit}
          title={lines.map((entry) => entry.label).join(", ")}
          at={at}
          lines={lines}
          unit={unit}
          marks={marks}
          height={170}
        />
      ))}
      <span class="sr">{question}</span>
    </>
  );
}

function StepDiff({ link, target, open }: { link: string; target: string; open: boolean }) {
  const [state, setState] = useState<GraphState>(PLAIN);
  const [shown, setShown] = useState(open);
  const view = viewOfLink(link, target);
  return (
    <details class="step-diff" open={shown} onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>Flame graph: what changed between the two profiles</summary>
      {shown ? (
        <WhenSeen height={260}>
          {() => (
            <DiffGraph
              link={link}
              state={state}
              change={(patch) => setState((old) => ({ ...old, ...patch }))}
              maxHeight={320}
            />
          )}
        </WhenSeen>
      ) : null}
      {view ? (
        <p>
          <a href={view.href}>Open both flame graphs, choose other instants</a>
        </p>
      ) : null}
    </details>
  );
}

function Overrule({
  step,
  target,
  replace,
}: {
  step: Step;
  target: string;
  replace: (data: Investigation) => void;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const send = async (answer: "yes" | "no" | null) => {
    setBusy(true);
    setError(null);
    try {
      replace(
        await postJson<Investigation>(`${paths.investigation(target)}/answers`, { step: step.id, answer }),
      );
    } catch (reason) {
      setError(reason instanceof ApiError ? reason.detail : String(reason));
    } finally {
      setBusy(false);
    }
  };
  const byUser = step.answered_by === "user";
  return (
    <div class="overrule" role="group" aria-label={`Your answer: ${step.question}`}>
      <span class="hint">{byUser ? "Your answer:" : "You know better?"}</span>
      {(["yes", "no"] as const).map((answer) => (
        <button
          key={answer}
          type="button"
          disabled={busy}
          aria-pressed={byUser && step.answer === answer}
          onClick={() => send(answer)}
        >
          {ANSWERS[answer]}
        </button>
      ))}
      {byUser ? (
        <button type="button" class="undo" disabled={busy} onClick={() => send(null)}>
          Undo
        </button>
      ) : null}
      {error ? (
        <span class="failed" role="alert">
          {readable(error)}
        </span>
      ) : null}
    </div>
  );
}
