// Blocked is a Go program whose goroutines wait in every way there is, on stacks that are inlined, wrapped, generic, deep or
// in the kernel. Each function that blocks is named after the reason and started as often as its place in `start` says.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var (
	never   = make(chan int)
	full    = make(chan int)
	nothing chan int
	locked  sync.Mutex
	group   sync.WaitGroup
	cond    = sync.NewCond(&sync.Mutex{})
	depth   int
	sink    int
)

type waiter struct{ channel chan int }

// Small enough to be inlined: a stack shows it without a frame of its own.
func take(channel chan int) int { return <-channel }

func takeTwice(channel chan int) int { return take(channel) + take(channel) }

func (w waiter) wait() { takeTwice(w.channel) }

type queue[T any] struct{ items chan T }

//go:noinline
func (q *queue[T]) pop() T { return <-q.items }

func receive()    { <-never }                    // truth: chan receive
func send()       { full <- 1 }                  // truth: chan send
func receiveNil() { <-nothing }                  // truth: chan receive (nil chan)
func sendNil()    { nothing <- 1 }               // truth: chan send (nil chan)
func empty()      { select {} }                  // truth: select (no cases)
func sleep()      { time.Sleep(24 * time.Hour) } // truth: sleep
func mutex()      { locked.Lock() }              // truth: sync.Mutex.Lock
func waitGroup()  { group.Wait() }               // truth: sync.WaitGroup.Wait

func choose(timeout time.Duration) {
	select { // truth: select
	case <-never:
	case <-time.After(timeout):
	}
}

func condition() {
	cond.L.Lock()
	cond.Wait() // truth: sync.Cond.Wait
}

//go:noinline
func descend(levels int) int {
	if levels == 0 {
		return <-never
	}
	return descend(levels-1) + 1
}

func inKernel(file int) {
	var buffer [1]byte
	if _, err := syscall.Read(file, buffer[:]); err != nil {
		log.Fatal(err)
	}
}

func accept(listener net.Listener) {
	if _, err := listener.Accept(); err != nil { // truth: IO wait
		log.Fatal(err)
	}
}

func spin() {
	for {
		sink++
	}
}

func start(count int, function func()) {
	for i := 0; i < count; i++ {
		go function()
	}
}

func listen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "serve /debug/pprof/ on this address")
	many := flag.Int("many", 20, "goroutines that receive from a channel")
	deep := flag.Int("deep", 60, "depth of a recursive stack")
	spinning := flag.Bool("spin", false, "keep one goroutine running")
	collect := flag.Bool("collect", false, "collect garbage twice once all wait")
	flag.Parse()
	locked.Lock()
	group.Add(1)
	start(*many, receive)
	start(3, send)
	start(2, receiveNil)
	start(2, sendNil)
	start(2, empty)
	start(4, sleep)
	start(5, mutex)
	start(6, waitGroup)
	start(3, condition)
	start(2, waiter{never}.wait)
	start(2, func() { defer fmt.Println("never"); takeTwice(never) })
	start(2, func() { (&queue[string]{make(chan string)}).pop() })
	for i := 0; i < 7; i++ {
		go choose(time.Duration(24+i) * time.Hour)
	}
	for i := 0; i < 3; i++ {
		go descend(*deep)
		go descend(5)
	}
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		log.Fatal(err)
	}
	go inKernel(ends[0])
	go accept(listen("127.0.0.1:0"))
	if *spinning {
		go spin()
	}
	if *collect {
		time.Sleep(100 * time.Millisecond)
		// The second writes down when the first ended.
		runtime.GC()
		runtime.GC()
	}
	listener := listen(*address)
	fmt.Println("listening", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
