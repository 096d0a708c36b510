package main

import (
	"fmt"
	"sync"
)

// MarketsValues is what one query answers: the prices of one market at one instant.
type MarketsValues struct {
	Market string
	Prices []float64
}

// MarketsValueCache keeps query results by market and instant. With maxEntries == 0 nothing ever expires.
type MarketsValueCache struct {
	mu         sync.Mutex
	values     map[string]*MarketsValues
	order      []string
	maxEntries int
}

func newMarketsValueCache(maxEntries int) *MarketsValueCache {
	return &MarketsValueCache{values: map[string]*MarketsValues{}, maxEntries: maxEntries}
}

// getOrQueryMarketsValues answers from the cache, or queries and caches. Its key contains the instant, so hardly any
// entry is ever asked for again: without expiry the cache is a leak.
func getOrQueryMarketsValues(cache *MarketsValueCache, market string, instant int64, bytes int) *MarketsValues {
	key := fmt.Sprintf("%s@%d", market, instant)
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if values, ok := cache.values[key]; ok {
		return values
	}
	prices := make([]float64, bytes/8) // truth: cache-leak
	for i := range prices {
		prices[i] = float64(instant%1000) + float64(i)/100
	}
	values := &MarketsValues{Market: market, Prices: prices}
	cache.values[key] = values
	if cache.maxEntries > 0 {
		cache.expire(key)
	}
	return values
}

// expire drops the oldest entry once the cache is full.
func (c *MarketsValueCache) expire(newest string) {
	c.order = append(c.order, newest)
	if len(c.order) > c.maxEntries {
		delete(c.values, c.order[0])
		c.order = append(c.order[:0], c.order[1:]...)
	}
}

// publishMarketsValues hands a result to a subscriber. Nobody reads from an abandoned subscription, so it blocks forever.
func publishMarketsValues(subscription chan<- float64, values *MarketsValues) {
	var window [512]float64 // lives on the goroutine's stack, and makes it grow
	for i := range window {
		window[i] = values.Prices[i%len(values.Prices)]
	}
	average := mean(&window)
	subscription <- average // truth: goroutine-leak
}

//go:noinline
func mean(window *[512]float64) float64 {
	sum := 0.0
	for _, price := range window {
		sum += price
	}
	return sum / float64(len(window))
}
