// One answer of the API, kept while the next one is on its way.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, getJson, tokenWanted } from "./client";
import { useLive } from "./stream";

export interface Resource<T> {
  data: T | null;
  error: ApiError | null;
  loading: boolean;
  reload: () => void;
  replace: (data: T) => void;
}

type Load<T> = (path: string, signal: AbortSignal) => Promise<T>;

interface Options<T> {
  /** Asks again when the daemon says that this target changed; `*`: any target. */
  live?: string;
  load?: Load<T>;
  /** Shows the old answer until that of another path is there. */
  keep?: boolean;
}

/** `path` is the identity: with another one, the old answer is dropped unless it is kept. `null`: nothing to ask. */
export function useResource<T>(path: string | null, options: Options<T> = {}): Resource<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; error: ApiError | null }>({
    path: null,
    data: null,
    error: null,
  });
  const [attempt, setAttempt] = useState(0);
  const load = useRef<Load<T>>(options.load ?? getJson);
  load.current = options.load ?? getJson;
  const took = useRef(0);
  const tick = useLive(path === null ? null : (options.live ?? null), took);

  // Asked before the browser paints what there is so far, not after it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: an attempt and a change are reasons to ask again
  useLayoutEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    const started = performance.now();
    load
      .current(path, abort.signal)
      .then((data) => {
        took.current = performance.now() - started;
        if (!abort.signal.aborted) setState({ path, data, error: null });
      })
      .catch((reason: unknown) => {
        if (abort.signal.aborted) return;
        const error =
          reason instanceof ApiError
            ? reason
            : new ApiError(0, "The answer could not be read", String(reason));
        setState((old) => ({ path, data: old.path === path || options.keep ? old.data : null, error }));
      });
    return () => abort.abort();
  }, [path, attempt, tick]);

  const reload = useCallback(() => setAttempt((old) => old + 1), []);
  useEffect(
    () =>
      tokenWanted.subscribe((wanted) => {
        if (!wanted) reload();
      }),
    [reload],
  );
  const replace = useCallback((data: T) => setState({ path, data, error: null }), [path]);
  const mine = state.path === path;
  return {
    data: mine || options.keep ? state.data : null,
    error: mine ? state.error : null,
    loading: path !== null && !mine,
    reload,
    replace,
  };
}
