// Command deathbed is killed for its memory, and says before what is in it: it allocates one object on each of many stacks,
// prints what its own runtime counts, and after a while fills the memory piece by piece until the kernel ends it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

const (
	size  = 64
	piece = 1 << 20
)

var (
	held   []*[size]byte
	filled [][]byte
)

// main runs unsampled: every allocation is counted.
func main() {
	runtime.MemProfileRate = 1
	stacks := flag.Uint("stacks", 5000, "stacks with one object each")
	busy := flag.Int("busy", 0, "threads that never stop computing")
	parked := flag.Int("parked", 100, "goroutines that wait for ever")
	depth := flag.Int("depth", 16, "calls that tell the stacks apart: 2^depth stacks at most")
	deeper := flag.Uint("deeper", 0, "calls below which all of that happens")
	signalled := flag.Bool("signalled", false, "instead of -life, until SIGUSR1")
	life := flag.Duration("life", 2*time.Second, "time before the memory is filled")
	at := flag.Int64("at", 0, "instead of -life, the instant in Unix milliseconds")
	flag.Parse()
	told := make(chan os.Signal, 1)
	if *signalled {
		signal.Notify(told, syscall.SIGUSR1)
	}
	end := time.Now().Add(*life)
	if *at != 0 {
		end = time.UnixMilli(*at)
	}

	for count := 0; count < *parked; count++ {
		go park()
	}
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + *busy)
	for count := 0; count < *busy; count++ {
		go spin()
	}
	held = make([]*[size]byte, 0, *stacks)
	below(*deeper, func() {
		for path := uint(0); path < *stacks; path++ {
			left(path, *depth)
		}
	})
	// The second collection publishes what was allocated before the first.
	for round := 0; round < 3; round++ {
		runtime.GC()
	}
	buckets, _ := runtime.MemProfile(nil, true)
	fmt.Println("held", len(held))
	fmt.Println("buckets", buckets)

	filled = make([][]byte, 0, 1<<16)
	if *signalled {
		<-told
	} else {
		time.Sleep(time.Until(end))
	}
	for count := 1; ; count++ {
		fill()
		fmt.Fprintln(os.Stdout, "filled", count)
	}
}

//go:noinline
func below(calls uint, work func()) {
	if calls == 0 {
		work()
		return
	}
	below(calls-1, work)
	runtime.KeepAlive(calls)
}

//go:noinline
func left(path uint, further int) {
	if further == 0 {
		keep()
		return
	}
	if path&1 == 0 {
		left(path>>1, further-1)
	} else {
		right(path>>1, further-1)
	}
}

//go:noinline
func right(path uint, further int) {
	if further == 0 {
		keep()
		return
	}
	if path&1 == 0 {
		left(path>>1, further-1)
	} else {
		right(path>>1, further-1)
	}
}

//go:noinline
func keep() {
	held = append(held, new([size]byte))
}

//go:noinline
func fill() {
	memory := make([]byte, piece)
	for offset := 0; offset < len(memory); offset += 4096 {
		memory[offset] = 1
	}
	filled = append(filled, memory)
}

func park() {
	select {}
}

func spin() {
	runtime.LockOSThread()
	for sum := 1; ; sum += sum {
		if sum == 3 {
			return
		}
	}
}
