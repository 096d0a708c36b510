// What each line of the ledger is, in words.

export interface LineText {
  label: string;
  means: string;
  colour: string;
}

const LINES: Record<string, LineText> = {
  anonymous: {
    label: "Anonymous",
    means: "Heaps and stacks: memory that no file backs. Only swap could take it.",
    colour: "line-1",
  },
  file: {
    label: "Page cache",
    means: "File contents the kernel keeps; given back when memory is short.",
    colour: "line-2",
  },
  shmem: {
    label: "Shared memory, tmpfs",
    means: "Files in memory. Looks like cache but cannot be dropped.",
    colour: "line-3",
  },
  kernel: {
    label: "Kernel",
    means: "What the kernel holds for this target: page tables, sockets, slab, stacks of threads.",
    colour: "line-4",
  },
  go_live_heap: {
    label: "Live Go heap",
    means: "What the last garbage collection could still reach.",
    colour: "line-1",
  },
  go_garbage: {
    label: "Garbage and GC headroom",
    means: "Allocated since the last collection, or waiting to be collected.",
    colour: "line-2",
  },
  go_idle_heap: {
    label: "Idle Go heap",
    means: "Freed by the runtime, not returned to the system yet.",
    colour: "line-3",
  },
  go_stacks: { label: "Goroutine stacks", means: "Each goroutine has at least 2 KiB.", colour: "line-4" },
  go_metadata: { label: "Go runtime", means: "What the runtime needs for itself.", colour: "line-5" },
  native_live: { label: "Allocator, in use", means: "Given out by malloc and not freed.", colour: "line-1" },
  native_free: {
    label: "Allocator, free",
    means: "Held by malloc but not given out: fragmentation.",
    colour: "line-3",
  },
  thread_stacks: { label: "Thread stacks", means: "Stacks of operating system threads.", colour: "line-4" },
  other_anonymous: {
    label: "Other anonymous",
    means: "Anonymous mappings that nothing above explains.",
    colour: "line-5",
  },
  hugetlb: {
    label: "Huge pages",
    means: "Pages of hugetlb pools, with a limit of their own.",
    colour: "line-6",
  },
  slab: { label: "Slab", means: "Small kernel objects: dentries, inodes, sockets.", colour: "line-4" },
  sockets: { label: "Socket buffers", means: "Data that waits in network buffers.", colour: "line-3" },
  page_tables: {
    label: "Page tables",
    means: "The maps of the processes' address spaces.",
    colour: "line-5",
  },
  kernel_stacks: { label: "Kernel stacks", means: "16 KiB for each thread.", colour: "line-2" },
  kernel_other: {
    label: "Other kernel memory",
    means: "Kernel memory that no line above counts.",
    colour: "line-6",
  },
};

export function lineText(name: string): LineText {
  const known = Object.hasOwn(LINES, name) ? LINES[name] : undefined;
  if (known) return known;
  const text = name.replaceAll("_", " ");
  return { label: text.charAt(0).toUpperCase() + text.slice(1), means: "", colour: "line-6" };
}
