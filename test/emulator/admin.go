package emulator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// Admin gives the management routes: /faults (GET, POST one or a list, DELETE),
// /state (GET) and /journal (GET, DELETE). They belong on a listener of their
// own, so that no client of the emulated upstream can reach them by accident.
func (e *Emulated) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { show(w, http.StatusOK, e.Faults()) })
	mux.HandleFunc("POST /faults", e.postFaults)
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		e.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { show(w, http.StatusOK, e.state()) })
	mux.HandleFunc("GET /journal", func(w http.ResponseWriter, _ *http.Request) { show(w, http.StatusOK, e.Journal()) })
	mux.HandleFunc("DELETE /journal", func(w http.ResponseWriter, _ *http.Request) {
		e.ClearJournal()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (e *Emulated) postFaults(w http.ResponseWriter, r *http.Request) {
	faults, err := readFaults(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = e.inject(faults...)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error())
		return
	}
	show(w, http.StatusCreated, e.Faults())
}

func readFaults(body io.Reader) ([]Fault, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		var many []Fault
		err = json.Unmarshal(raw, &many)
		return many, err
	}
	var one Fault
	err = json.Unmarshal(raw, &one)
	return []Fault{one}, err
}

func show(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
