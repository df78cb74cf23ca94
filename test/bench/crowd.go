package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// crowdLasts is how long many connections must be served without an error.
const crowdLasts = time.Minute

// measureCrowd has many connections ask for a whole minute, without the floor: what
// counts is that nobody is forgotten and that nothing grows.
func (s *stage) measureCrowd(ctx context.Context, t *table) error {
	l, err := s.loadOn(ctx, load{
		address: s.main.ports.API, connections: many, lasts: crowdLasts, wants: http.StatusOK, next: s.getOne,
	}, s.main.pid())
	if err != nil {
		return err
	}
	t.add(row{
		work: fmt.Sprintf("GET /kafkas/{id}, %d connections", many), load: l,
		result: fmt.Sprintf("%d replies in %.0f s, %d errors, worst %.2f s", l.requests, l.wall.Seconds(), l.errors, l.quantile(1).Seconds()),
		target: "0 errors, p99 bounded", missed: misses([]goal{under("p99", l.quantile(0.99), 5*time.Second)}),
	})
	if l.errors > 0 {
		return errors.Join(errors.New("some of many connections met errors"), l.first)
	}
	return nil
}

// measureCatalogue measures what a page for ordering asks for first.
func (s *stage) measureCatalogue(ctx context.Context, t *table) error {
	const providers = "/api/kafkas_mgmt/v1/cloud_providers"
	for _, what := range []struct{ work, path string }{
		{"GET cloud_providers", providers},
		{"GET regions of aws", providers + "/aws/regions"},
		{"GET instance types", "/api/kafkas_mgmt/v1/instance_types/aws/us-east-1"},
	} {
		l, err := s.ours(ctx, load{connections: 8, next: func(buffer []byte, _, _ int) []byte {
			_, token := s.pick()
			return request{method: http.MethodGet, path: what.path, token: token}.append(buffer)
		}})
		if err != nil {
			return fmt.Errorf("%s: %w", what.work, err)
		}
		t.add(row{work: what.work + ", 8 connections", load: l, result: sizeOf(l)})
	}
	return nil
}
