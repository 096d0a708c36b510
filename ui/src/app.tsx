// The frame around every view: navigation, connection, theme, token.

import { useEffect, useRef, useState } from "preact/hooks";
import { hasToken, setToken, tokenWanted } from "./api/client";
import { type Connection, connection } from "./api/stream";
import { useStore } from "./lib/store";
import { type Theme, theme } from "./lib/theme";
import { toHash, useRoute } from "./lib/url";
import { OomKills } from "./views/kills";
import { OomKillView } from "./views/oom";
import { Overview } from "./views/overview";
import { ServiceView } from "./views/service";
import { Services } from "./views/services";
import { StatusView } from "./views/status";
import { TargetView } from "./views/target";

const NAVIGATION: [string[], string][] = [
  [[], "Overview"],
  [["services"], "Services"],
  [["oom"], "OOM kills"],
  [["status"], "Status"],
];

export function App() {
  const { path } = useRoute();
  const main = useRef<HTMLElement>(null);
  const view = path.slice(0, 2).join("/");
  const first = useRef(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another view starts at its top, and screen readers at its content
  useEffect(() => {
    if (first.current) first.current = false;
    else {
      scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
  }, [view]);
  const section = path[0] === "targets" || path[0] === undefined ? "" : path[0];
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: the hash belongs to the router, so the jump is made by hand */}
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="#/">
          leakwatch
        </a>
        <nav aria-label="Views">
          {NAVIGATION.map(([to, title]) => (
            <a key={title} href={toHash(to)} aria-current={section === (to[0] ?? "") ? "page" : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <span class="top-right">
          <Connected />
          <ThemeChoice />
        </span>
      </header>
      <TokenPrompt />
      <main id="content" ref={main} tabIndex={-1}>
        <View path={path} />
      </main>
    </>
  );
}

function View({ path }: { path: string[] }) {
  const [section, id, tab] = path;
  switch (section) {
    case undefined:
      return <Overview />;
    case "targets":
      return id === undefined ? <Overview /> : <TargetView key={id} id={id} tab={tab ?? "investigation"} />;
    case "services":
      return id === undefined ? <Services /> : <ServiceView key={id} name={id} />;
    case "oom":
      return id === undefined ? <OomKills /> : <OomKillView key={id} id={id} />;
    case "status":
      return <StatusView />;
    default:
      return (
        <p class="state">
          There is no such view. <a href="#/">Go to the overview</a>.
        </p>
      );
  }
}

const CONNECTION: Record<Connection, [string, string]> = {
  connecting: ["connecting", "Connecting to the daemon"],
  live: ["live", "The daemon tells what changes as it happens"],
  polling: ["every 10 s", "Many pages listen already: this one asks every 10 s"],
  lost: ["disconnected", "The daemon does not answer; what is shown may be old. Trying again."],
};

function Connected() {
  const state = useStore(connection);
  const [text, title] = CONNECTION[state];
  return (
    <span class={`connection ${state}`} title={title} role="status">
      <i aria-hidden="true" /> {text}
    </span>
  );
}

const THEMES: Record<Theme, [Theme, string]> = {
  auto: ["light", "Theme: system"],
  light: ["dark", "Theme: light"],
  dark: ["auto", "Theme: dark"],
};

function ThemeChoice() {
  const chosen = useStore(theme);
  const [next, title] = THEMES[chosen];
  return (
    <button type="button" class="plain theme" onClick={() => theme.set(next)}>
      {title}
    </button>
  );
}

/** Asked when the API wants a token. */
function TokenPrompt() {
  const wanted = useStore(tokenWanted);
  const [value, setValue] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const [refused, setRefused] = useState(false);
  useEffect(() => {
    if (!wanted) return;
    setRefused(hasToken());
    input.current?.focus();
  }, [wanted]);
  if (!wanted) return null;
  return (
    <form
      class="token"
      onSubmit={(event) => {
        event.preventDefault();
        if (value.trim() !== "") setToken(value.trim());
        setValue("");
      }}
    >
      <label for="token">
        <strong>This daemon wants a token.</strong>{" "}
        {refused
          ? "The one given was refused."
          : "It is in the file that `token_file` names in leakwatch.toml."}
      </label>
      <span class="token-line">
        <input
          id="token"
          ref={input}
          type="password"
          autoComplete="off"
          value={value}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
        <button type="submit">Use token</button>
      </span>
      <span class="hint">It is kept for this browser tab only.</span>
    </form>
  );
}
