// Package metricsapi is what customers may know of how their instances fare: the
// catalogue of metrics, the questions that it becomes for a backend that speaks
// PromQL, and the form in which answers are shown.
//
// It is for reading figures that data planes measured. It is not for the metrics
// of the fleet manager itself, and stores nothing. Invariant: whoever asks about
// an instance gets series of that instance's namespace only, also from a backend
// that answers more than it was asked.
package metricsapi

import (
	"errors"
	"math"
	"time"
)

// Series is one series of a backend or of a reply.
type Series struct {
	Labels  map[string]string // __name__ among them
	Samples []Sample          // in the order of time
}

// Sample is one figure.
type Sample struct {
	Milliseconds int64 // since 1970
	Value        float64
}

// Window is the span of a query and its step.
type Window struct {
	Start, End time.Time
	Step       time.Duration
}

// ErrTooMuch is what a backend says of an answer that nobody should read to its end.
var ErrTooMuch = errors.New("the answer is too large")

const (
	nameLabel      = "__name__"
	namespaceLabel = "namespace"
	exportedLabel  = "exported_namespace"
)

func finite(value float64) bool { return !math.IsNaN(value) && !math.IsInf(value, 0) }
