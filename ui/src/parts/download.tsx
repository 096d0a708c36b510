// A link to a file of the daemon.

import { useState } from "preact/hooks";
import { ApiError, request } from "../api/client";
import { readable } from "../lib/text";

interface Props {
  path: string;
  name: string;
  title: string;
  hint?: string;
}

/** Fetched first: a plain link could neither show a token nor say why there is no such file. */
export function Download({ path, name, title, hint }: Props) {
  const [error, setError] = useState<string | null>(null);
  const fetched = async (event: MouseEvent) => {
    event.preventDefault();
    setError(null);
    let blob: Blob;
    try {
      blob = await (await request(path)).blob();
    } catch (reason) {
      setError(reason instanceof ApiError ? reason.detail : String(reason));
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  return (
    <span>
      <a href={path} download={name} title={hint} onClick={fetched}>
        {title}
      </a>
      {error ? (
        <span class="failed" role="alert">
          {" "}
          {readable(error)}
        </span>
      ) : null}
    </span>
  );
}
