package app

import (
	"context"
	"sync"
)

// inOrder does jobs on n goroutines and hands what came of them to collect, in the
// order of the jobs whatever goroutine did them, on the calling one. Each goroutine
// works with a function of its own, which may keep state between jobs. A job that
// is given up because ctx ended is not collected. The error is produce's.
func inOrder[J, T any](ctx context.Context, n int, produce func(context.Context, func(J) error) error, worker func() func(J) T, collect func(T)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type slot struct {
		job  J
		done chan T // closed without a value if the job is given up
	}
	var (
		work  = make(chan slot, n)
		order = make(chan slot, 2*n) // bounds the chunks in memory
		fail  error
		wg    sync.WaitGroup
	)
	for range n {
		wg.Go(func() {
			do := worker()
			for sl := range work {
				sl.done <- do(sl.job)
			}
		})
	}
	go func() {
		defer close(order)
		defer close(work)
		fail = produce(ctx, func(j J) error {
			sl := slot{j, make(chan T, 1)}
			select {
			case order <- sl:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case work <- sl:
				return nil
			case <-ctx.Done():
				close(sl.done) // it stands in order already, where it is waited for
				return ctx.Err()
			}
		})
	}()
	for sl := range order {
		if out, ok := <-sl.done; ok {
			collect(out)
		}
	}
	wg.Wait()
	return fail
}
