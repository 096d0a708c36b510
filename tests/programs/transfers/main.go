// Transfers leaks small objects slowly, beside a large buffer that never changes.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"time"
)

type entry struct {
	from, to uint64
	cents    int64
	memo     string
	next     *entry
}

type journal struct{ last *entry }

// record keeps every transfer for an audit that never comes.
func (j *journal) record(number uint64) {
	j.last = &entry{from: number, to: number * 31, cents: int64(number % 10000), next: j.last} // truth: leak
	if number%16 == 0 {
		j.last.memo = fmt.Sprintf("transfer %d, batch of the %d. hour", number, number%24)
	}
}

// loadRates is memory needed all the time.
func loadRates(bytes int) []float64 {
	rates := make([]float64, bytes/8)
	for i := range rates {
		rates[i] = 1 + float64(i%97)/100
	}
	return rates
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of net/http/pprof")
	rate := flag.Int("rate", 300<<10, "leaked bytes per second")
	static := flag.Int("static", 48<<20, "bytes of the buffer that stays")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	rates := loadRates(*static)
	var books journal
	var number uint64
	start := time.Now()
	for range time.Tick(20 * time.Millisecond) {
		for due := uint64(time.Since(start).Seconds() * float64(*rate) / 52); number < due; number++ {
			books.record(number)
			rates[number%uint64(len(rates))]++
		}
		convert(rates)
	}
}

// convert makes garbage.
func convert(rates []float64) []float64 {
	converted := make([]float64, 32<<10)
	copy(converted, rates)
	return converted
}
