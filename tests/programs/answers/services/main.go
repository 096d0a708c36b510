// Services are small: each -variant keeps memory in its own way, or does not.
package main

import (
	"flag"
	"fmt"
	"sync"
	"time"

	"github.com/acme/history"
	"github.com/acme/watch"
)

const entryBytes = 4000

var (
	visits   history.Log
	basket   = map[int][]byte{}
	prices   = map[int][]byte{}
	watchers int
	buffers  = sync.Pool{New: func() any { return make([]byte, 1<<20) }}
	last     []byte
)

// recordVisit gives a library ever more to keep.
//
//go:noinline
func recordVisit(number int) {
	visits.Append(fill(make([]byte, entryBytes), number)) // truth: library
}

// keepBasket is a map that nothing is removed from.
//
//go:noinline
func keepBasket(number int) {
	basket[number] = fill(make([]byte, entryBytes), number)
}

// loadPrice fills a map with as many keys as there are prices.
//
//go:noinline
func loadPrice(number int) {
	const most = 10000
	if _, ok := prices[number%most]; !ok {
		prices[number%most] = fill(make([]byte, entryBytes), number)
	}
}

// subscribe makes a watcher and forgets to close it.
//
//go:noinline
func subscribe(number int) {
	if number%4 == 0 {
		watch.New() // truth: watcher
		watchers++
	}
}

// encode borrows a buffer.
//
//go:noinline
func encode(number int) {
	buffer := buffers.Get().([]byte)
	fill(buffer, number)
	buffers.Put(buffer)
}

func fill(bytes []byte, number int) []byte {
	for i := 0; i < len(bytes); i += 256 {
		bytes[i] = byte(number)
	}
	return bytes
}

func main() {
	variant := flag.String("variant", "", "library, basket, prices, watcher, pool")
	flag.Parse()
	work := map[string]func(int){
		"library": recordVisit, "basket": keepBasket, "prices": loadPrice, "watcher": subscribe, "pool": encode,
	}[*variant]
	if work == nil {
		fmt.Println("no such variant")
		return
	}
	number := 0
	for range time.Tick(10 * time.Millisecond) {
		for i := 0; i < 4; i++ {
			work(number)
			last = fill(make([]byte, entryBytes), number)
			number++
		}
	}
}
