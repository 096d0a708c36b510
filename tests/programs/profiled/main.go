// Profiled is a Go program with known profiles: a cache filled at two sites, a generic and an inlined allocator,
// recursion, and blocked goroutines. It writes profiles into a directory and exits, or serves them.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
)

var (
	cache   = map[int][]byte{}
	strs    []string
	numbers []*[32]int64
	blocked = make(chan struct{})
)

type list[T any] struct{ items []T }

//go:noinline
func (l *list[T]) push(item T) { l.items = append(l.items, item) }

var generic list[[4]int]

// Small enough to be inlined into its callers.
func buffer(size int) []byte { return make([]byte, size) }

//go:noinline
func fillCache(from, count int) {
	for i := from; i < from+count; i++ {
		cache[i] = buffer(1024 + i%7*512)
	}
}

//go:noinline
func descend(depth int) {
	if depth > 0 {
		descend(depth - 1)
		return
	}
	numbers = append(numbers, new([32]int64))
}

//go:noinline
func grow(round int) {
	fillCache(round*5000, 5000)
	for i := range 2000 {
		strs = append(strs, strings.Repeat("x", 100+i%50))
		generic.push([4]int{i})
	}
	for range 1000 {
		descend(5)
	}
	for range 10 * (round + 1) {
		go wait()
	}
	for i := range 1000 {
		delete(cache, i)
	}
}

func wait() { <-blocked }

// Nobody else knows the channel: the runtime can prove that the goroutine is stuck.
//
//go:noinline
func leak() {
	go func() { <-make(chan struct{}) }()
}

func write(dir string, kind string, round int) {
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s.%d.pb.gz", kind, round)))
	if err != nil {
		log.Fatal(err)
	}
	if err := pprof.Lookup(kind).WriteTo(file, 0); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}

func main() {
	rate := flag.Int("rate", runtime.MemProfileRate, "runtime.MemProfileRate")
	dir := flag.String("dir", "", "write two rounds of profiles here and exit")
	listen := flag.String("listen", "", "serve /debug/pprof/ on this address")
	flag.Parse()
	runtime.MemProfileRate = *rate
	if *dir != "" {
		for round := range 2 {
			grow(round)
			runtime.GC()
			runtime.GC()
			write(*dir, "heap", round)
			write(*dir, "goroutine", round)
		}
		return
	}
	grow(0)
	leak()
	runtime.GC()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
