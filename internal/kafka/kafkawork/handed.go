package kafkawork

import (
	"sync"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
)

// mostHanded bounds the rows that wait to be taken; the others are read again.
const mostHanded = 1024

// handed keeps rows as one loop has just written them, for the next loop, which
// need not read them again. They may be old when they are taken: who acts on one
// proves first that it is still so.
type handed struct {
	mu   sync.Mutex
	rows map[kafka.ID]placed
}

// placed is an instance with its cluster.
type placed struct {
	kafka kafka.Kafka
	on    cluster.Cluster
}

func (h *handed) give(p placed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rows == nil {
		h.rows = map[kafka.ID]placed{}
	}
	if len(h.rows) < mostHanded {
		h.rows[p.kafka.ID] = p
	}
}

// take gives a row once.
func (h *handed) take(id kafka.ID) (placed, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.rows[id]
	delete(h.rows, id)
	return p, ok
}
