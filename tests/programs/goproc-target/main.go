// Goproc-target is read from outside and through its own profile endpoints, and the two must agree. It builds with every
// Go since 1.19, does what it is told, says "ready" and then keeps still.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

var kept [][]byte

func main() {
	rate := flag.Int("rate", 512<<10, "runtime.MemProfileRate")
	stacks := flag.Int("stacks", 0, "different allocation stacks, each 12 calls deep")
	below := flag.Int("below", 0, "calls below which these allocate")
	objects := flag.Int("objects", 20000, "objects of 64 to 8192 bytes, half of which are dropped again")
	small := flag.Int("small", 0, "objects of 64 bytes that leak")
	depth := flag.Int("depth", 0, "one allocation below this many calls")
	static := flag.Int("static", 4<<20, "bytes of one buffer that is kept")
	collections := flag.Int("collections", 3, "garbage collections before it is ready")
	goroutines := flag.Int("goroutines", 10, "goroutines that wait for ever on a channel")
	frames := flag.Int("frames", 0, "calls below which each of them waits")
	work := flag.Bool("work", false, "allocate without end; /operations says how often so far")
	limit := flag.Int64("limit", 0, "what GOMEMLIMIT would set; 0: none")
	flag.Parse()
	runtime.MemProfileRate = *rate
	if *limit > 0 {
		debug.SetMemoryLimit(*limit)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/grow", func(answer http.ResponseWriter, _ *http.Request) {
		leak(4000)
		runtime.GC()
		fmt.Fprintln(answer, len(kept))
	})
	http.HandleFunc("/spread", func(answer http.ResponseWriter, _ *http.Request) {
		allocate(*below, 10000)
		for index := 0; index < *collections; index++ {
			runtime.GC()
		}
		fmt.Fprintln(answer, len(kept))
	})
	http.HandleFunc("/memstats", func(answer http.ResponseWriter, _ *http.Request) {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		fmt.Fprintln(answer, stats.NumGC, stats.NumForcedGC, stats.NextGC, stats.HeapInuse, stats.HeapReleased,
			stats.StackInuse, stats.HeapAlloc, stats.PauseTotalNs, debug.SetMemoryLimit(-1))
	})
	http.HandleFunc("/operations", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, atomic.LoadUint64(&operations))
	})
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	buffer(*static)
	allocate(*below, *stacks)
	leak(*objects)
	leakSmall(*small)
	deep(*depth)
	never := make(chan int)
	for index := 0; index < *goroutines; index++ {
		go wait(never, *frames)
	}
	for index := 0; index < *collections; index++ {
		runtime.GC()
	}
	if *work {
		go churn()
	}
	fmt.Println("ready", listener.Addr())
	os.Stdout.Sync()
	select {}
}

// Buffer is needed all the time.
//
//go:noinline
func buffer(bytes int) { kept = append(kept, make([]byte, bytes)) }

//go:noinline
func keep(object []byte) { kept = append(kept, object) }

type node struct {
	next *node
	_    [56]byte
}

var list *node

//go:noinline
func leakSmall(objects int) {
	for index := 0; index < objects; index++ {
		list = &node{next: list}
	}
}

// Leak keeps every other object.
//
//go:noinline
func leak(objects int) {
	for index := 0; index < objects; index++ {
		object := make([]byte, 64<<(uint(index)%8))
		if index%2 == 0 {
			keep(object)
		}
	}
}

// Allocate has one more object on each of so many stacks.
//
//go:noinline
func allocate(below, stacks int) {
	if below > 0 {
		allocate(below-1, stacks)
		return
	}
	for index := 0; index < stacks; index++ {
		branch(uint(index), 12)
	}
}

// Branch allocates below calls that differ by the bits of path: each path is a stack of its own.
//
//go:noinline
func branch(path uint, depth int) {
	switch {
	case depth == 0:
		keep(make([]byte, 16+path%3*32))
	case path%4 == 0:
		branch(path/4, depth-1)
	case path%4 == 1:
		branch(path/4, depth-1)
	case path%4 == 2:
		branch(path/4, depth-1)
	default:
		branch(path/4, depth-1)
	}
}

//go:noinline
func deep(calls int) int {
	if calls == 0 {
		keep(make([]byte, 1<<20))
		return 0
	}
	return deep(calls-1) + 1
}

//go:noinline
func wait(never chan int, frames int) int {
	if frames > 0 {
		return wait(never, frames-1) + 1
	}
	return <-never
}

var operations uint64

// Each goroutine keeps the last few objects, so that garbage is collected all the time.
func churn() {
	var last [64][]byte
	for index := 0; ; index++ {
		last[index%len(last)] = make([]byte, 64<<(uint(index)%8))
		if index%1000 == 999 {
			atomic.AddUint64(&operations, 1000)
		}
	}
}
