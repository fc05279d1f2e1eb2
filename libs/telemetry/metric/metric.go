// Package metric has what our metrics have in common: histograms of time in both forms, counters that are there before
// they count. It imports nothing of ours, so that any adapter may use it.
package metric

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A native histogram's buckets each reach a tenth further than the one before. Their number is bounded: one that has more makes its
// buckets coarser, or starts anew after an hour, so that a series takes a few kilobytes at most.
const (
	growth     = 1.1
	maxBuckets = 100
	restart    = time.Hour
)

// Native returns opts with native buckets beside the classic ones. They are exposed only to a scraper that asks for Prometheus'
// binary format.
func Native(opts prometheus.HistogramOpts) prometheus.HistogramOpts {
	opts.NativeHistogramBucketFactor = growth
	opts.NativeHistogramMaxBucketNumber = maxBuckets
	opts.NativeHistogramMinResetDuration = restart
	return opts
}

// Known makes the series of a counter's known values of its one label, at zero, and returns the counter. A series that begins
// with its first event hides that event: from nothing to one is no increase.
func Known(counter *prometheus.CounterVec, values ...string) *prometheus.CounterVec {
	for _, v := range values {
		counter.WithLabelValues(v)
	}
	return counter
}
