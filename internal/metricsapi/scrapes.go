package metricsapi

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// scrapeAge is below what scrapers usually wait between two scrapes, so that each of them moves.
	scrapeAge = 10 * time.Second
	// Together these bound the memory: 64 MiB.
	keptScrapes   = 256
	largestScrape = 256 << 10
)

// scrapes keeps expositions for a moment: a pair of redundant scrapers costs the
// backend as much as one. Copies belong to a namespace, which is one instance's
// for ever.
type scrapes struct{ kept *lru.Cache[string, scrape] }

type scrape struct {
	at   time.Time
	text []byte
}

func newScrapes() *scrapes {
	kept, _ := lru.New[string, scrape](keptScrapes) // fails only for a size that is not positive
	return &scrapes{kept: kept}
}

func (s *scrapes) get(namespace string, now time.Time) ([]byte, bool) {
	kept, ok := s.kept.Get(namespace)
	if age := now.Sub(kept.at); !ok || age < 0 || age >= scrapeAge {
		return nil, false
	}
	return kept.text, true
}

func (s *scrapes) put(namespace string, at time.Time, text []byte) {
	if namespace != "" && len(text) <= largestScrape {
		s.kept.Add(namespace, scrape{at: at, text: text})
	}
}
