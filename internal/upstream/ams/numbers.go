package ams

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
)

const (
	numbersKept    = 16384
	numberLifetime = 6 * time.Hour
	absentLifetime = 10 * time.Minute // who has none now may get one
	// After a failure nobody is asked for so long: pages would wait for it, one after the other.
	numbersRest = 30 * time.Second
	// A search names its organisations in the URL.
	organisationsPerCall, callsAtATime = 50, 4
)

// numbers remembers what organisations are called by the billing system. They are
// shown to people, and nothing is decided by them.
type numbers struct {
	kept  *lru.Cache[string, number]
	rests atomic.Int64 // until then, in nanoseconds since 1970
	now   func() time.Time
}

type number struct {
	text  string // empty: the organisation has none
	until time.Time
}

func newNumbers() *numbers {
	kept, _ := lru.New[string, number](numbersKept) // fails only for a size that is not positive
	return &numbers{kept: kept, now: time.Now}
}

// AccountNumbers gives the billing system's numbers of organisations, by their
// external ids. Who has none is left out. With an error it gives those that are
// known nevertheless; for a while after one only those are given, without an error.
func (c *Client) AccountNumbers(ctx context.Context, externalIDs []string) (map[string]string, error) {
	known, missing := c.numbers.look(externalIDs)
	if len(missing) == 0 || c.numbers.now().UnixNano() < c.numbers.rests.Load() {
		return known, nil
	}
	err := c.askNumbers(ctx, missing)
	if err != nil && !errors.Is(err, context.Canceled) { // a caller who hung up says nothing of the service
		c.numbers.rests.Store(c.numbers.now().Add(numbersRest).UnixNano())
	}
	known, _ = c.numbers.look(externalIDs)
	return known, err
}

func (n *numbers) look(externalIDs []string) (known map[string]string, missing []string) {
	known = map[string]string{}
	for _, id := range externalIDs {
		one, ok := n.kept.Get(id)
		switch {
		case !ok || !n.now().Before(one.until):
			missing = append(missing, id)
		case one.text != "":
			known[id] = one.text
		}
	}
	return known, missing
}

// askNumbers asks for many organisations at a time, some searches beside each other.
// The error is the first; it stops no other search.
func (c *Client) askNumbers(ctx context.Context, externalIDs []string) error {
	var asking errgroup.Group
	asking.SetLimit(callsAtATime)
	for some := range slices.Chunk(externalIDs, organisationsPerCall) {
		asking.Go(func() error { return c.searchNumbers(ctx, some) })
	}
	return asking.Wait()
}

func (c *Client) searchNumbers(ctx context.Context, externalIDs []string) error {
	const doing = "searching account numbers"
	ctx, cancel, err := c.conn.Begin(ctx, doing)
	if err != nil {
		return err
	}
	defer cancel()
	terms := make([]string, 0, len(externalIDs))
	for _, id := range externalIDs {
		terms = append(terms, "external_id = "+quote(id))
	}
	answer, err := c.conn.AccountsMgmt().V1().Organizations().List().
		Page(1).Size(len(externalIDs)).Search(strings.Join(terms, " or ")).SendContext(ctx)
	if err := checkList(doing, answer, err); err != nil {
		return err
	}
	told := map[string]string{}
	for _, o := range answer.Items().Slice() {
		if usableID.MatchString(o.EbsAccountID()) { // it is shown
			told[o.ExternalID()] = o.EbsAccountID()
		}
	}
	for _, id := range externalIDs { // whatever the search made of the ids
		lifetime := numberLifetime
		if told[id] == "" {
			lifetime = absentLifetime
		}
		c.numbers.kept.Add(id, number{text: told[id], until: c.numbers.now().Add(lifetime)})
	}
	return nil
}
