// Verdict classes in words, and how urgent each is.

export type Tone = "bad" | "warn" | "watch" | "good" | "quiet";

export interface VerdictClass {
  label: string;
  tone: Tone;
  /** Higher is worse. */
  rank: number;
  means: string;
}

const CLASSES: Record<string, VerdictClass> = {
  go_heap_leak: {
    label: "Go heap leak",
    tone: "bad",
    rank: 90,
    means: "Live objects on the Go heap are kept and only grow in number.",
  },
  goroutine_leak: {
    label: "Goroutine leak",
    tone: "bad",
    rank: 90,
    means: "Goroutines start and never end; each keeps its stack and what it refers to.",
  },
  native_leak: {
    label: "Native leak",
    tone: "bad",
    rank: 90,
    means: "Memory from malloc is not freed.",
  },
  mapping_leak: {
    label: "Mapping leak",
    tone: "bad",
    rank: 88,
    means: "Mappings, threads or generated code pile up.",
  },
  undersized_limit: {
    label: "Limit too small",
    tone: "bad",
    rank: 80,
    means: "The service needs more than its limit, without leaking.",
  },
  growing: {
    label: "Growing",
    tone: "warn",
    rank: 70,
    means: "Something surely grows and its place is named. Whether it ends by itself is not decided yet.",
  },
  managed_heap_growth: {
    label: "Managed heap grows",
    tone: "warn",
    rank: 65,
    means: "The heap of the JVM, V8 or CPython grows.",
  },
  kernel_memory: {
    label: "Kernel memory",
    tone: "warn",
    rank: 60,
    means: "The kernel holds memory for this target: sockets, slab, page tables.",
  },
  tmpfs: {
    label: "Files in memory",
    tone: "warn",
    rank: 58,
    means: "Files in a tmpfs or shared memory count against the limit and cannot be dropped.",
  },
  fragmentation: {
    label: "Fragmentation",
    tone: "warn",
    rank: 55,
    means: "The allocator holds far more memory than the program uses.",
  },
  neighbour: {
    label: "Neighbour",
    tone: "warn",
    rank: 50,
    means: "It was killed for somebody else's growth.",
  },
  gc_headroom: {
    label: "GC headroom",
    tone: "watch",
    rank: 40,
    means: "Garbage waits for its collection; it is not live data.",
  },
  idle_heap: {
    label: "Idle heap",
    tone: "watch",
    rank: 38,
    means: "The runtime freed memory but did not return it to the system.",
  },
  page_cache: {
    label: "Page cache",
    tone: "watch",
    rank: 35,
    means: "File contents cached by the kernel; given back when memory is short.",
  },
  load_driven: {
    label: "Follows the load",
    tone: "watch",
    rank: 30,
    means: "Memory rises and falls with the work done.",
  },
  warm_up: {
    label: "Warming up",
    tone: "watch",
    rank: 28,
    means: "It grows, but towards a level.",
  },
  burst: { label: "Burst", tone: "watch", rank: 26, means: "One step up, flat since." },
  not_enough_data: {
    label: "Not decided yet",
    tone: "quiet",
    rank: 20,
    means: "Too little was seen so far.",
  },
  stable: { label: "Stable", tone: "good", rank: 10, means: "Memory is steady." },
};

/** Classes that name a leak. */
const LEAKS = new Set(["go_heap_leak", "goroutine_leak", "native_leak", "mapping_leak"]);

export function verdictClass(name: string | null | undefined): VerdictClass {
  if (!name) return { label: "No verdict", tone: "quiet", rank: 15, means: "Nothing was judged yet." };
  const known = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  if (known) return known;
  // A newer daemon may know classes that this page does not.
  const text = name.replaceAll("_", " ");
  return {
    label: text.charAt(0).toUpperCase() + text.slice(1),
    tone: "watch",
    rank: 45,
    means: "This page does not know this class.",
  };
}

export function isLeak(name: string | null | undefined): boolean {
  return name !== null && name !== undefined && LEAKS.has(name);
}

export const CLASS_NAMES = Object.keys(CLASSES);
