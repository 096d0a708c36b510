package main

import (
	"math/rand"
	"time"
)

// What makes it hard to tell: channels that are made, passed around and dropped as fast as the program can.

type request struct {
	value  int
	answer chan int
}

var (
	requests = make(chan *request)
	garbage  [][]byte
)

//go:noinline
func liveServe() {
	for r := range requests {
		r.answer <- r.value + 1
	}
}

//go:noinline
func liveAsk() {
	for {
		r := &request{rand.Int(), make(chan int)}
		requests <- r
		sink.Store(int64(<-r.answer))
	}
}

type slot struct {
	channel chan int
	next    *slot
}

// Moves the only references to the channels of idle workers between places, for ever.
//
//go:noinline
func liveMove(workers int) {
	slots := make([]*slot, 4*workers)
	for i := 0; i < workers; i++ {
		c := make(chan int)
		slots[i] = &slot{channel: c}
		go liveReceive(c)
	}
	for {
		from, to := rand.Intn(len(slots)), rand.Intn(len(slots))
		if slots[from] != nil && slots[to] == nil {
			slots[to] = &slot{channel: slots[from].channel}
			slots[from] = nil
		}
	}
}

//go:noinline
func liveChurn() {
	for {
		garbage = append(garbage, make([]byte, 1<<14))
		if len(garbage) > 2000 {
			garbage = nil
		}
	}
}

// Waves of sessions: each waits most of the time, and its end comes.
//
//go:noinline
func liveSession(c chan int) {
	for range c {
	}
}

func waves() {
	for {
		open := make([]chan int, 200)
		for i := range open {
			open[i] = make(chan int)
			go liveSession(open[i])
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		for _, c := range open {
			c <- 1
			close(c)
		}
	}
}

func busy(kind string) {
	switch kind {
	case "requests":
		for i := 0; i < 4; i++ {
			go liveServe()
		}
		for i := 0; i < 64; i++ {
			go liveAsk()
		}
		go liveChurn()
	case "mover":
		go liveMove(64)
	case "waves":
		go waves()
		go liveChurn()
	}
}
