package catalog

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Quantity is an amount of bytes and the text it was configured with. Agents get
// the text, customers the bytes.
type Quantity struct {
	Text  string
	Bytes int64
}

// The parser takes exponents of any length, for which it computes for minutes or
// gives 0.
var quantityText = regexp.MustCompile(`^\+?[0-9.]{1,19}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$`)

// UnmarshalYAML reads a Kubernetes quantity.
func (q *Quantity) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode || !quantityText.MatchString(node.Value) {
		return refuse(node, "expected a quantity like 10Mi")
	}
	parsed, err := resource.ParseQuantity(node.Value)
	if err != nil || parsed.CmpInt64(math.MaxInt64) >= 0 {
		return refuse(node, "expected a quantity like 10Mi")
	}
	*q = Quantity{Text: node.Value, Bytes: parsed.Value()}
	return nil
}

// Lifespan is how many seconds an instance lives; zero: it never expires.
type Lifespan int

// UnmarshalYAML refuses an explicit zero: it reads like "at once" and would mean "never".
func (l *Lifespan) UnmarshalYAML(node *yaml.Node) error {
	seconds, err := strconv.ParseInt(node.Value, 10, 32) // the wire has no more
	if err != nil || seconds < 1 {
		return refuse(node, fmt.Sprintf("expected a number of seconds between 1 and %d", math.MaxInt32))
	}
	*l = Lifespan(seconds)
	return nil
}

// Duration is the life span as a duration.
func (l Lifespan) Duration() time.Duration { return time.Duration(l) * time.Second }

// Limit is a number of streaming units that must not be exceeded. The zero value is no limit.
type Limit struct {
	Limited bool
	Units   int
}

// UnmarshalYAML reads the number of units.
func (l *Limit) UnmarshalYAML(node *yaml.Node) error {
	units, err := strconv.Atoi(node.Value)
	if err != nil || units < 0 {
		return refuse(node, "expected a number of streaming units, at least 0")
	}
	*l = Limit{Limited: true, Units: units}
	return nil
}

// Closed tells whether nothing may be created at all, whatever is used.
func (l Limit) Closed() bool { return l.Limited && l.Units == 0 }

// Allows tells whether so many more units fit on top of the used ones.
func (l Limit) Allows(used, more int) bool { return !l.Limited || used+more <= l.Units }

// refuse is an error that the decoder collects instead of stopping at it.
func refuse(node *yaml.Node, text string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s, found `%s`", node.Line, text, node.Value)}}
}
