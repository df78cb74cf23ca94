// Package observatorium is a store of metrics that speaks the API of Prometheus.
//
// It is for tests: it answers selectors over series that a test put there, or
// hands every call on to a real Prometheus, so that faults can strike in between.
// It knows no PromQL beyond selectors. Invariant: unless it was told to be
// careless it answers exactly the series that a Prometheus would.
package observatorium

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mostSteps is what a Prometheus computes at most for one series.
const mostSteps = 11000

// Series is one series with its samples in the order of time.
type Series struct {
	Labels  map[string]string
	Samples []Sample
}

// Sample is one figure.
type Sample struct {
	At    time.Time
	Value float64
}

// Observatorium is the store.
type Observatorium struct {
	mu       sync.Mutex
	series   []Series
	asked    []string
	careless bool
	behind   *httputil.ReverseProxy
}

// New makes an empty store.
func New() *Observatorium { return &Observatorium{} }

// Put adds series.
func (o *Observatorium) Put(series ...Series) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.series = append(o.series, series...)
}

// SetCareless makes it answer all that it has, whatever the question.
func (o *Observatorium) SetCareless(careless bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.careless = careless
}

// Forward hands all calls on to a real Prometheus from now on.
func (o *Observatorium) Forward(address string) error {
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.behind = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{DisableKeepAlives: true}, // nothing is left when a test ends
	}
	return nil
}

// Asked gives the queries so far, in no order.
func (o *Observatorium) Asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

// Handler serves the API below any path.
func (o *Observatorium) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		behind := o.behind
		o.mu.Unlock()
		switch {
		case behind != nil:
			behind.ServeHTTP(w, r)
		case strings.HasSuffix(r.URL.Path, "/api/v1/query"):
			o.query(w, r)
		case strings.HasSuffix(r.URL.Path, "/api/v1/query_range"):
			o.queryRange(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

// reply is a success of the API.
type reply struct {
	Status string `json:"status"`
	Data   data   `json:"data"`
}

type data struct {
	ResultType string `json:"resultType"`
	Result     []any  `json:"result"`
}

type vector struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

type matrix struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values"`
}

func (o *Observatorium) query(w http.ResponseWriter, r *http.Request) {
	found, err := o.find(r.FormValue("query"))
	at, timeErr := instant(r.FormValue("time"))
	if err != nil || timeErr != nil {
		refuse(w)
		return
	}
	out := data{ResultType: "vector", Result: []any{}}
	for _, s := range found {
		if last, ok := s.at(at); ok {
			out.Result = append(out.Result, vector{s.Labels, pair(at, last.Value)})
		}
	}
	say(w, out)
}

func (o *Observatorium) queryRange(w http.ResponseWriter, r *http.Request) {
	found, err := o.find(r.FormValue("query"))
	start, startErr := instant(r.FormValue("start"))
	end, endErr := instant(r.FormValue("end"))
	step, stepErr := strconv.ParseFloat(r.FormValue("step"), 64)
	if err != nil || startErr != nil || endErr != nil || stepErr != nil || step <= 0 || end.Before(start) || end.Sub(start).Seconds()/step > mostSteps {
		refuse(w)
		return
	}
	out := data{ResultType: "matrix", Result: []any{}}
	for _, s := range found {
		m := matrix{Metric: s.Labels, Values: [][2]any{}}
		for at := start; !at.After(end); at = at.Add(time.Duration(step * float64(time.Second))) {
			if last, ok := s.at(at); ok {
				m.Values = append(m.Values, pair(at, last.Value))
			}
		}
		if len(m.Values) > 0 {
			out.Result = append(out.Result, m)
		}
	}
	say(w, out)
}

// find notes a query and gives the series that it selects.
func (o *Observatorium) find(query string) ([]Series, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, query)
	selector, err := parse(query)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(o.series), func(s Series) bool { return !o.careless && !selector.fits(s.Labels) }), nil
}

// at gives the last sample up to a time.
func (s Series) at(when time.Time) (last Sample, ok bool) {
	for _, one := range s.Samples {
		if one.At.After(when) {
			break
		}
		last, ok = one, true
	}
	return last, ok
}

func pair(at time.Time, value float64) [2]any {
	text := strconv.FormatFloat(value, 'f', -1, 64)
	switch {
	case math.IsInf(value, 1):
		text = "+Inf"
	case math.IsInf(value, -1):
		text = "-Inf"
	}
	return [2]any{float64(at.UnixMilli()) / 1000, text}
}

func instant(text string) (time.Time, error) {
	seconds, err := strconv.ParseFloat(text, 64)
	return time.UnixMilli(int64(seconds * 1000)), err
}

func say(w http.ResponseWriter, d data) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply{Status: "success", Data: d})
}

func refuse(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": "bad_data", "error": "the question makes no sense"})
}
