package metricsapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Selector says which series of a metric are an instance's, by its labels.
type Selector int

// The selectors.
const (
	Whole        Selector = iota // all of the namespace
	Volumes                      // those of the brokers' volumes
	Brokers                      // those of the Kafka brokers
	BrokerTopics                 // the same, without private topics
	Topics                       // all of the namespace, without private topics
	Partitions                   // the same, where topics are called topic_name
	Routers                      // measured outside, so that the namespace is a label of another name
)

// namespaceOf gives the label that ties series to a namespace.
func (s Selector) namespaceOf() string {
	if s == Routers {
		return exportedLabel
	}
	return namespaceLabel
}

func (s Selector) matchers() []string {
	const kafkas, public = `strimzi_io_kind="Kafka"`, `topic!~"` + privateTopics + `"`
	switch s {
	case Volumes:
		return []string{`persistentvolumeclaim=~"data-.*-kafka-[0-9]*$"`}
	case Brokers:
		return []string{kafkas}
	case BrokerTopics:
		return []string{kafkas, public}
	case Topics:
		return []string{public}
	case Partitions:
		return []string{public, `topic_name!~"` + privateTopics + `"`}
	default:
		return nil
	}
}

// question is one query for all metrics that are selected alike.
type question struct {
	promQL string
	by     string          // the label that must be the namespace
	names  map[string]bool // what may come back
}

// plan gives the questions for metrics of a namespace. No filter means all
// metrics; a name that is not in the catalogue asks for nothing.
func plan(namespace string, filters []string) []question {
	names := map[Selector][]string{}
	var order []Selector
	for _, m := range Catalogue() {
		if len(filters) > 0 && !slices.Contains(filters, m.Name) {
			continue
		}
		if len(names[m.From]) == 0 {
			order = append(order, m.From)
		}
		names[m.From] = append(names[m.From], m.Name)
	}
	questions := make([]question, 0, len(order))
	for _, from := range order {
		matchers := []string{nameLabel + `=~"` + strings.Join(names[from], "|") + `"`}
		matchers = append(matchers, from.matchers()...)
		// Equality, not a pattern: a namespace is a name and nothing else. PromQL reads quoted texts as Go does.
		matchers = append(matchers, from.namespaceOf()+"="+strconv.Quote(namespace))
		q := question{promQL: "{" + strings.Join(matchers, ",") + "}", by: from.namespaceOf(), names: map[string]bool{}}
		for _, name := range names[from] {
			q.names[name] = true
		}
		questions = append(questions, q)
	}
	return questions
}

// Bounds of a range query, as the specification has them. What backends take at
// most is samples of one series.
const (
	maxMinutes = 4320
	maxSeconds = 10800
	maxSamples = 11000
)

// Span is what a customer says of a range query.
type Span struct {
	Minutes int64 // how long
	Seconds int64 // between samples
}

// Refusals of a span, also for what could not be read as a number.
const (
	NotMinutes = "duration must be a whole number of minutes between 1 and 4320"
	NotSeconds = "interval must be a whole number of seconds between 1 and 10800"
)

// check refuses what is out of bounds.
func (s Span) check() error {
	switch {
	case s.Minutes < 1 || s.Minutes > maxMinutes:
		return apierr.New(apierr.BadRequest, NotMinutes)
	case s.Seconds < 1 || s.Seconds > maxSeconds:
		return apierr.New(apierr.BadRequest, NotSeconds)
	case s.Minutes*60/s.Seconds+1 > maxSamples:
		return apierr.Newf(apierr.BadRequest, "duration and interval ask for more than %d samples of each series", maxSamples)
	}
	return nil
}
