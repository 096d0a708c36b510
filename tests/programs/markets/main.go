// Markets is the reference scenario: a service that answers price queries under a load generator of its own.
// What is wrong with it is chosen by -variant; everything else stays the same.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime/debug"
	"time"
)

func main() {
	variant := flag.String("variant", "steady", "cache-leak, goroutine-leak, steady or undersized")
	listen := flag.String("listen", "", "address for net/http/pprof; empty: none")
	keepIn := flag.String("keep", "", "directory for a copy of every profile served; empty: none")
	load := newLoad(flag.CommandLine)
	baseline := flag.Int("baseline", 16<<20, "bytes of reference data loaded at the start and kept")
	cacheEntries := flag.Int("cache-entries", 1000, "bound of the cache in the variants that do not leak")
	memoryLimit := flag.Int64("memory-limit", 0, "what GOMEMLIMIT would set; 0: none")
	flag.Parse()
	if *memoryLimit > 0 {
		debug.SetMemoryLimit(*memoryLimit)
	}

	if *listen != "" {
		listener, err := net.Listen("tcp", *listen)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("listening", listener.Addr())
		var handler http.Handler = http.DefaultServeMux
		if *keepIn != "" {
			handler = keep(*keepIn, handler)
		}
		go func() { log.Fatal(http.Serve(listener, handler)) }()
	}

	reference := loadReferenceData(*baseline)
	load.start = time.Now()
	switch *variant {
	case "cache-leak":
		cache := newMarketsValueCache(0)
		load.run(func(instant int64) { handleQuery(cache, reference, instant, load) })
	case "goroutine-leak":
		cache := newMarketsValueCache(*cacheEntries)
		load.run(func(instant int64) {
			values := handleQuery(cache, reference, instant, load)
			go publishMarketsValues(make(chan float64), values)
		})
	case "steady", "undersized":
		// Undersized differs by its cgroup alone: -baseline, -cache-entries and -burst-bytes need more than the limit.
		cache := newMarketsValueCache(*cacheEntries)
		load.run(func(instant int64) { handleQuery(cache, reference, instant, load) })
	default:
		fmt.Fprintln(os.Stderr, "unknown variant", *variant)
		os.Exit(2)
	}
}

// loadReferenceData fills memory that is needed all the time, as a price book or an index would.
func loadReferenceData(bytes int) [][]byte {
	const page = 256 << 10
	var data [][]byte
	for loaded := 0; loaded < bytes; loaded += page {
		block := make([]byte, page)
		for i := 0; i < len(block); i += 64 {
			block[i] = byte(i >> 6)
		}
		data = append(data, block)
	}
	return data
}

// handleQuery is one request: look up, render an answer, forget the answer.
func handleQuery(cache *MarketsValueCache, reference [][]byte, instant int64, load *load) *MarketsValues {
	market := [...]string{"NYSE", "XETRA", "TSE", "LSE"}[instant&3]
	values := getOrQueryMarketsValues(cache, market, instant, load.entryBytes)
	answer := renderAnswer(values, load.garbageBytes)
	if len(reference) > 0 {
		answer[0] = reference[int(instant)%len(reference)][0]
	}
	return values
}

// renderAnswer makes the garbage every request makes.
//
//go:noinline
func renderAnswer(values *MarketsValues, bytes int) []byte {
	answer := make([]byte, bytes+1)
	for i := 0; i < len(answer); i += 512 {
		answer[i] = byte(len(values.Prices))
	}
	return answer
}
