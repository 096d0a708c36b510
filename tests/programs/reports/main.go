// Reports runs a batch job again and again: memory climbs in a straight line, then falls. A sawtooth, not a leak.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime/debug"
	"time"
)

type report struct{ rows [][]byte }

// addRows is what a leak would look like, if the report were not dropped at the end.
func (r *report) addRows(bytes int) {
	for ; bytes > 0; bytes -= 4096 {
		row := make([]byte, 4096)
		for i := range row {
			row[i] = byte(i)
		}
		r.rows = append(r.rows, row)
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of net/http/pprof")
	period := flag.Duration("period", 24*time.Second, "time from one report to the next")
	peak := flag.Int("peak", 40<<20, "bytes of a finished report")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	const step = 100 * time.Millisecond
	for {
		var r report
		ticker := time.NewTicker(step)
		for started := time.Now(); time.Since(started) < *period; <-ticker.C {
			r.addRows(int(float64(*peak) * step.Seconds() / period.Seconds()))
		}
		ticker.Stop()
		fmt.Println("rows", len(r.rows))
		r = report{}
		debug.FreeOSMemory()
	}
}
