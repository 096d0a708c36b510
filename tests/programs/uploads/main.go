// Uploads holds large buffers for a moment, at random instants: bursts, not a leak.
package main

import (
	"flag"
	"fmt"
	"log"
	"math/rand"
	"net"
	"net/http"
	_ "net/http/pprof"
	"time"
)

// receive holds one upload while it is processed.
func receive(bytes int, hold time.Duration) {
	buffer := make([]byte, bytes)
	for i := 0; i < len(buffer); i += 4096 {
		buffer[i] = 1
	}
	time.Sleep(hold)
	buffer[0] = 2
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of net/http/pprof")
	largest := flag.Int("largest", 16<<20, "bytes of the largest upload")
	between := flag.Duration("between", 1500*time.Millisecond, "mean time between uploads")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	random := rand.New(rand.NewSource(3))
	for {
		go receive(1<<20+random.Intn(*largest), time.Duration(random.Intn(3000))*time.Millisecond)
		pause := time.NewTimer(time.Duration(random.ExpFloat64() * float64(*between)))
		<-pause.C
	}
}
