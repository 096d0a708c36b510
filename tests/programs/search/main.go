// Search leaks in a method of a generic type, and in noisy traffic.
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

// Index finds values by key. It only ever gets larger.
type Index[K comparable, V any] struct{ values map[K][]V }

// Insert adds values of a key.
func (x *Index[K, V]) Insert(key K, value V, copies int) {
	values := make([]V, copies) // truth: leak
	for i := range values {
		values[i] = value
	}
	x.values[key] = values
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of net/http/pprof")
	rate := flag.Int("rate", 1<<20, "leaked bytes per second, on average")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, nil)) }()

	index := &Index[string, uint64]{values: map[string][]uint64{}}
	random := rand.New(rand.NewSource(5))
	number, due := 0, 0.0
	for range time.Tick(50 * time.Millisecond) {
		due += float64(*rate) / 4096 / 20 * 2 * random.Float64()
		for ; due >= 1; due-- {
			index.Insert(fmt.Sprint("term", number), uint64(number), 512)
			tokenize(number)
			number++
		}
	}
}

// tokenize makes garbage.
//
//go:noinline
func tokenize(number int) []byte {
	tokens := make([]byte, 24<<10)
	tokens[number%len(tokens)] = 1
	return tokens
}
