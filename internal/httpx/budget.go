package httpx

import (
	"bytes"
	"sync"
)

// shelf keeps idle buffers; the largest are not worth their room.
type shelf struct{ idle sync.Pool }

const largestIdle = 2 << 20

func (s *shelf) take() *bytes.Buffer {
	if b, ok := s.idle.Get().(*bytes.Buffer); ok {
		return b
	}
	return &bytes.Buffer{}
}

func (s *shelf) give(b *bytes.Buffer) {
	if b.Cap() > largestIdle {
		return
	}
	b.Reset()
	s.idle.Put(b)
}

// budget bounds the memory of what waits for clients, in all and for one tenant:
// one need not read what it asked for, nor send what it announced.
type budget struct {
	inAll, perTenant int

	mu       sync.Mutex
	total    int
	byTenant map[string]int
}

// budgetStep is how much is taken at a time.
const budgetStep = 64 << 10

func (b *budget) take(tenant string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total+budgetStep > b.inAll || b.byTenant[tenant]+budgetStep > b.perTenant {
		return false
	}
	if b.byTenant == nil {
		b.byTenant = map[string]int{}
	}
	b.total += budgetStep
	b.byTenant[tenant] += budgetStep
	return true
}

func (b *budget) give(tenant string, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total -= bytes
	if b.byTenant[tenant] -= bytes; b.byTenant[tenant] == 0 {
		delete(b.byTenant, tenant)
	}
}

// grant is what one request holds of a budget.
type grant struct {
	budget *budget
	tenant string
	bytes  int
}

// afford makes room for so many bytes.
func (g *grant) afford(bytes int) bool {
	for g.bytes < bytes {
		if !g.budget.take(g.tenant) {
			return false
		}
		g.bytes += budgetStep
	}
	return true
}

// repay gives back all of it.
func (g *grant) repay() {
	if g.bytes > 0 {
		g.budget.give(g.tenant, g.bytes)
		g.bytes = 0
	}
}
