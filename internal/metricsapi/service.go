package metricsapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
)

// Backend answers questions in PromQL.
type Backend struct {
	// Together gives the context for questions whose answers one reply needs, so that
	// they share what it may take of memory.
	Together func(ctx context.Context) context.Context

	Instant func(ctx context.Context, promQL string, at time.Time) ([]Series, error)
	Range   func(ctx context.Context, promQL string, w Window) ([]Series, error)
}

// Deps are what the use cases work with.
type Deps struct {
	// Namespace gives the namespace of an instance that the caller may see, "" where
	// it has none yet.
	Namespace func(ctx context.Context, who access.Identity, kafkaID string) (string, error)
	Backend   Backend
	Clock     clock.Clock
	Logger    *slog.Logger
}

// Service is the use cases of metrics.
type Service struct {
	Deps

	scrapes *scrapes
}

// NewService makes the use cases.
func NewService(d Deps) *Service { return &Service{Deps: d, scrapes: newScrapes()} }

// What customers read when a backend fails: it is not theirs to know which one or why.
const (
	queryFailed  = "failed to retrieve metrics"
	scrapeFailed = "error getting metrics"
)

// parallel is how many questions of one request are under way at a time. The lane
// of metrics times this is what the client of the backend lets pass.
const parallel = 4

// Query gives the present figures of an instance.
func (s *Service) Query(ctx context.Context, who access.Identity, kafkaID string, filters []string) ([]Series, error) {
	namespace, err := s.Namespace(ctx, who, kafkaID)
	if err != nil {
		return nil, err
	}
	found, err := s.instant(ctx, namespace, filters)
	if err != nil {
		return nil, told(err)
	}
	return presentable(found), nil
}

// QueryRange gives the figures of an instance over a span that ends now.
func (s *Service) QueryRange(ctx context.Context, who access.Identity, kafkaID string, span Span, filters []string) ([]Series, error) {
	if err := span.check(); err != nil {
		return nil, err
	}
	namespace, err := s.Namespace(ctx, who, kafkaID)
	if err != nil {
		return nil, err
	}
	now := s.Clock()
	window := Window{
		Start: now.Add(-time.Duration(span.Minutes) * time.Minute), End: now, Step: time.Duration(span.Seconds) * time.Second,
	}
	found, err := s.ask(ctx, namespace, filters, func(ctx context.Context, promQL string) ([]Series, error) {
		return s.Backend.Range(ctx, promQL, window)
	})
	if err != nil {
		return nil, told(err)
	}
	return presentable(found), nil
}

// Federate gives all present figures of an instance in the text format of
// Prometheus. Scrapers come often and by the clock, so what they get is kept for
// a moment; who may have it is asked every time.
func (s *Service) Federate(ctx context.Context, who access.Identity, kafkaID string) ([]byte, error) {
	namespace, err := s.Namespace(ctx, who, kafkaID)
	switch {
	case apierr.Is(err, apierr.NotFound):
		return nil, err
	case err != nil:
		return nil, apierr.Wrap(apierr.General, err, scrapeFailed)
	}
	now := s.Clock()
	if text, ok := s.scrapes.get(namespace, now); ok {
		return text, nil
	}
	found, err := s.instant(ctx, namespace, nil)
	if err != nil {
		return nil, apierr.Wrap(apierr.General, err, scrapeFailed)
	}
	text, err := expose(found)
	if err != nil {
		return nil, apierr.Wrap(apierr.General, err, scrapeFailed)
	}
	s.scrapes.put(namespace, now, text)
	return text, nil
}

func (s *Service) instant(ctx context.Context, namespace string, filters []string) ([]Series, error) {
	now := s.Clock()
	return s.ask(ctx, namespace, filters, func(ctx context.Context, promQL string) ([]Series, error) {
		return s.Backend.Instant(ctx, promQL, now)
	})
}

// ask puts all questions to the backend. An instance without a namespace has no
// metrics, and nobody is asked: a selector with an empty value would find the
// series of everything that has no namespace.
func (s *Service) ask(
	ctx context.Context, namespace string, filters []string, put func(ctx context.Context, promQL string) ([]Series, error),
) ([]Series, error) {
	if namespace == "" {
		return nil, nil
	}
	questions := plan(namespace, filters)
	answers := make([][]Series, len(questions))
	group, ctx := errgroup.WithContext(s.Backend.Together(ctx))
	group.SetLimit(parallel)
	for i, q := range questions {
		group.Go(func() error {
			found, err := put(ctx, q.promQL)
			if err != nil {
				return fmt.Errorf("asking for metrics: %w", err)
			}
			kept, foreign := own(q, namespace, found)
			if foreign > 0 {
				s.Logger.ErrorContext(ctx, "the backend of metrics answered series that were not asked for", "namespace", namespace, "count", foreign)
			}
			answers[i] = kept
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []Series
	for _, one := range answers {
		all = append(all, one...)
	}
	return all, nil
}

// told says of a failed query what the customer may know, and mend.
func told(err error) error {
	if errors.Is(err, ErrTooMuch) {
		return apierr.Wrap(apierr.BadRequest, err, "there are too many figures for one reply: name fewer metrics in filters, or ask for fewer samples")
	}
	return apierr.Wrap(apierr.General, err, queryFailed)
}
