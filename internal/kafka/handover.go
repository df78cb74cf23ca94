package kafka

import (
	"sync"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
)

// mostHanded bounds the rows that wait to be taken; the others are read again.
const mostHanded = 1024

// Handover passes rows, as they were just written, to the loop that goes on with
// them, which need not read them again. It is for a process whose loops run, and a
// hint: a row may be old when it is taken, so who acts on it proves that it is still so.
type Handover struct {
	mu   sync.Mutex
	open bool
	rows map[ID]Handed
}

// Handed is an instance with its cluster.
type Handed struct {
	Kafka Kafka
	On    cluster.Cluster
}

// Open says whether the loops run in this process. What nobody took is forgotten.
func (h *Handover) Open(open bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open, h.rows = open, map[ID]Handed{}
}

// Give passes a row on, before the loop is told of it.
func (h *Handover) Give(p Handed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.open {
		return
	}
	if len(h.rows) >= mostHanded {
		h.rows = map[ID]Handed{}
	}
	h.rows[p.Kafka.ID] = p
}

// Take gives a row of that status once.
func (h *Handover) Take(id ID, status Status) (Handed, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.rows[id]
	delete(h.rows, id)
	return p, ok && p.Kafka.Status == status
}
