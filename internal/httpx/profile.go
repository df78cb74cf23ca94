package httpx

import (
	"net/http"
	"net/http/pprof"
)

// ProfileHandler serves Go's profiles below /debug/pprof/, as `go tool pprof` and
// `go tool trace` read them. They tell of memory and of the command line, and
// taking one costs time: whoever serves this must not do so beyond the machine.
func ProfileHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // tools that want many names ask so
	return mux
}
