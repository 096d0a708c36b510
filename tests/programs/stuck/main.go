// Stuck is a Go program with goroutines that nobody can ever wake, of every kind, beside twins of them that somebody can. The name of a
// function that waits says which of both it is.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

var sink atomic.Int64

//go:noinline
func start(each int) {
	for i := 0; i < each; i++ {
		for _, leak := range leaks {
			leak.start()
		}
	}
}

//go:noinline
func startLives(each int) {
	for i := 0; i < each; i++ {
		for _, live := range lives {
			live()
		}
	}
}

// Ends the frames that were used to start them.
//
//go:noinline
func overwrite(depth int) int {
	var words [64]int
	if depth == 0 {
		return words[depth]
	}
	return overwrite(depth-1) + words[depth%64]
}

func main() {
	each := flag.Int("each", 5, "leaks of each kind")
	twins := flag.Int("twins", 5, "twins of each kind")
	kind := flag.String("busy", "", "also `requests`, `mover` or `waves`")
	heap := flag.Int("heap", 0, "megabytes of objects that refer to others")
	every := flag.Duration("every", 0, "leak one more of the first kind every so often")
	flag.Parse()
	go start(*each)
	go startLives(*twins)
	var kept []*slot
	for i := 0; i < *heap<<16; i++ {
		var next *slot
		if i > 0 {
			next = kept[i-1]
		}
		kept = append(kept, &slot{next: next})
	}
	busy(*kind)
	time.Sleep(300 * time.Millisecond)
	sink.Store(int64(overwrite(200)))
	// The second writes down when the first ended.
	runtime.GC()
	runtime.GC()
	for _, leak := range leaks {
		fmt.Println("leak", leak.name, leak.count**each)
	}
	fmt.Println("ready")
	for i := 0; *every > 0; i++ {
		leaks[0].start()
		if i%20 == 19 {
			runtime.GC()
		}
		time.Sleep(*every)
	}
	runtime.KeepAlive(kept)
	// As a server that has started all it needs.
	select {}
}
