package emulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// Mode says what a fault does and whether the effect happens.
type Mode string

// The modes. Those named after an effect leave it in place.
const (
	Before      Mode = "before"       // answers Status, no effect
	After       Mode = "after"        // effect, then answers Status
	ResetBefore Mode = "reset-before" // connection cut, no effect
	ResetAfter  Mode = "reset-after"  // effect, then connection cut
	Hang        Mode = "hang"         // no effect, no answer until Delay or the client has gone
	HangAfter   Mode = "hang-after"   // effect, then as Hang
	Slow        Mode = "slow"         // waits Delay, then serves as usual
	Twice       Mode = "twice"        // delivered twice; the second reply is the one seen
	Garbage     Mode = "garbage"      // no effect, 200 with JSON that ends too early
	Oversize    Mode = "oversize"     // no effect, 200 with JSON of ten MiB
	Redirect    Mode = "redirect"     // no effect, 307 to Target
	Lag         Mode = "lag"          // reads show what was so up to Delay ago
	Poison      Mode = "poison"       // effect, and a reply in which one value is hostile; Seed chooses
)

// Fault is one way to fail. It concerns the requests whose method (empty: any)
// and path (regular expression, empty: any) fit.
type Fault struct {
	Method      string
	Path        string
	Mode        Mode
	Status      int           // of before and after; 500 when zero
	Delay       time.Duration // of hang, slow and lag; the last two need it
	Target      string        // of a redirect; empty: LinkLocal
	Times       int           // how often it fires; 0: for ever
	RetryAfter  int           // seconds in the Retry-After header; 0: no header
	Probability float64       // 0 means always
	Seed        int64         // of the probability
}

// wireFault is Fault in the admin handler's JSON; the delay is a text such as "2s".
type wireFault struct {
	Method      string  `json:"method,omitempty"`
	Path        string  `json:"path,omitempty"`
	Mode        Mode    `json:"mode"`
	Status      int     `json:"status,omitempty"`
	Delay       string  `json:"delay,omitempty"`
	Target      string  `json:"target,omitempty"`
	Times       int     `json:"times,omitempty"`
	RetryAfter  int     `json:"retry_after,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	Seed        int64   `json:"seed,omitempty"`
}

// MarshalJSON writes the delay as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	wire := wireFault{f.Method, f.Path, f.Mode, f.Status, "", f.Target, f.Times, f.RetryAfter, f.Probability, f.Seed}
	if f.Delay > 0 {
		wire.Delay = f.Delay.String()
	}
	return json.Marshal(wire)
}

// UnmarshalJSON reads the delay from text.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var wire wireFault
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*f = Fault{wire.Method, wire.Path, wire.Mode, wire.Status, 0, wire.Target, wire.Times, wire.RetryAfter, wire.Probability, wire.Seed}
	if wire.Delay == "" {
		return nil
	}
	delay, err := time.ParseDuration(wire.Delay)
	f.Delay = delay
	return err
}

// LinkLocal is where a redirect leads that wants a cloud's own secrets.
const LinkLocal = "http://169.254.169.254/latest/meta-data/"

// armed is a fault that is watching requests.
type armed struct {
	Fault
	path    *regexp.Regexp
	chance  *rand.Rand
	cleared chan struct{}

	drawing sync.Mutex
	poisons *rand.Rand
}

func arm(f Fault) (*armed, error) {
	path, err := regexp.Compile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("reading the path of a fault: %w", err)
	}
	switch f.Mode {
	case Before, After, ResetBefore, ResetAfter, Hang, HangAfter, Twice, Garbage, Oversize, Redirect, Poison:
	case Slow, Lag:
		if f.Delay <= 0 {
			return nil, fmt.Errorf("mode %q needs a delay", f.Mode)
		}
	default:
		return nil, fmt.Errorf("unknown mode %q", f.Mode)
	}
	if f.Status == 0 {
		f.Status = http.StatusInternalServerError
	}
	if f.Status < 200 || f.Status > 599 || f.Times < 0 || f.Probability < 0 || f.Probability > 1 {
		return nil, fmt.Errorf("status, times or probability of the fault is out of range")
	}
	seed := uint64(f.Seed)
	return &armed{Fault: f, path: path, chance: rand.New(rand.NewPCG(seed, seed)), cleared: make(chan struct{}), poisons: rand.New(rand.NewPCG(seed, ^seed))}, nil
}

// Inject arms a fault. Faults are asked in the order of their injection; the
// first that fires is the only one. Like regexp.MustCompile it panics on a
// fault that makes no sense.
func (e *Emulated) Inject(f Fault) {
	if err := e.inject(f); err != nil {
		panic(err)
	}
}

func (e *Emulated) inject(faults ...Fault) error {
	ready := make([]*armed, 0, len(faults))
	for _, f := range faults {
		a, err := arm(f)
		if err != nil {
			return err
		}
		ready = append(ready, a)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, ready...)
	return nil
}

// ClearFaults disarms all faults and lets hanging calls go.
func (e *Emulated) ClearFaults() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.faults {
		close(f.cleared)
	}
	e.faults = nil
	e.past.forget()
}

// Faults lists those still armed, with the number of times left.
func (e *Emulated) Faults() []Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	left := make([]Fault, 0, len(e.faults))
	for _, f := range e.faults {
		if f.Times >= 0 {
			left = append(left, f.Fault)
		}
	}
	return left
}

// draw is the fault's own chance, which several calls may ask at once.
func (a *armed) draw(n int) int {
	a.drawing.Lock()
	defer a.drawing.Unlock()
	return a.poisons.IntN(n)
}

// fire gives the fault that this request meets, nil for none.
func (e *Emulated) fire(r *http.Request) *armed {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.faults {
		fits := f.Times >= 0 && (f.Method == "" || f.Method == r.Method) && f.path.MatchString(r.URL.Path)
		if !fits || (f.Probability > 0 && f.chance.Float64() >= f.Probability) {
			continue
		}
		if f.Times == 1 {
			f.Times = -1 // spent; it stays listed so that ClearFaults can release a call it holds
		} else if f.Times > 1 {
			f.Times--
		}
		return f
	}
	return nil
}
