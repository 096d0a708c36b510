// Unprofiled refers to no profile at all: the linker turns heap profiling off in it.
package main

import (
	"fmt"
	"runtime"
	"time"
)

func main() {
	kept := make([][]byte, 0, 1000)
	for len(kept) < cap(kept) {
		kept = append(kept, make([]byte, 64<<10))
	}
	never := make(chan int)
	for goroutine := 0; goroutine < 20; goroutine++ {
		go func() { <-never }()
	}
	runtime.GC()
	fmt.Println("ready")
	time.Sleep(24 * time.Hour)
	runtime.KeepAlive(kept)
}
