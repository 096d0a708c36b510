package main

import (
	"flag"
	"math/rand"
	"time"
)

// load is the traffic: how much, how even, and with which bursts.
type load struct {
	start        time.Time
	ratePerSec   int
	entryBytes   int
	garbageBytes int
	noise        float64
	burstEvery   time.Duration
	burstBytes   int
	burstHold    time.Duration
	random       *rand.Rand
}

func newLoad(flags *flag.FlagSet) *load {
	l := &load{random: rand.New(rand.NewSource(1))}
	flags.IntVar(&l.ratePerSec, "rate", 1<<20, "bytes of new cache entries per second")
	flags.IntVar(&l.entryBytes, "entry", 8<<10, "bytes per cache entry")
	flags.IntVar(&l.garbageBytes, "garbage", 64<<10, "bytes of garbage per request")
	flags.Float64Var(&l.noise, "noise", 0, "0 to 1: how much the traffic varies from second to second")
	flags.DurationVar(&l.burstEvery, "burst-every", 0, "interval of bursts; 0: none")
	flags.IntVar(&l.burstBytes, "burst-bytes", 16<<20, "bytes one burst holds")
	flags.DurationVar(&l.burstHold, "burst-hold", 2*time.Second, "how long a burst holds them")
	return l
}

// run calls request as often as ratePerSec asks for, for ever.
func (l *load) run(request func(instant int64)) {
	const tick = 20 * time.Millisecond
	ticker := time.NewTicker(tick)
	var instant int64
	due, factor, last, factorSince := 0.0, 1.0, l.start, l.start
	nextBurst := l.start.Add(l.burstEvery)
	for now := range ticker.C {
		if now.Sub(factorSince) >= time.Second {
			factor, factorSince = 1+l.noise*(2*l.random.Float64()-1), now
		}
		due += now.Sub(last).Seconds() * factor * float64(l.ratePerSec) / float64(l.entryBytes)
		last = now
		for ; due >= 1; due-- {
			request(instant)
			instant++
		}
		if l.burstEvery > 0 && now.After(nextBurst) {
			nextBurst = now.Add(l.burstEvery)
			go l.burst()
		}
	}
}

// burst is one expensive request: much memory, for a moment.
func (l *load) burst() {
	block := make([]byte, l.burstBytes)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	time.Sleep(l.burstHold)
	block[len(block)-1] = 2
}
