package bus

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const eventsPerBatch = 100

// exampleBatch is 100 events of about 500 bytes that repeat themselves as logs do.
func exampleBatch(n int) model.Batch {
	b := model.Batch{Tenant: "acme", Source: "bench", Peer: "192.0.2.1", Received: time.Unix(1_700_000_000, 0)}
	for i := range eventsPerBatch {
		b.Data = fmt.Appendf(b.Data, `{"time":"2026-03-01T10:%02d:%02dZ","host":"web-%02d","seq":%d,"message":"accepted connection","src":"10.0.%d.%d","token":"%x"}`+"\n",
			i%60, n%60, i%7, n, i%256, n%256, noise(170))
	}
	return b
}

func openBench(b *testing.B, noSync bool) *Bus {
	b.Helper()
	q, err := Open(b.Context(), Options{Dir: b.TempDir(), NoSync: noSync})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { q.Close() })
	return q
}

// BenchmarkPublish is from a batch to its acknowledgement, compression included.
func BenchmarkPublish(b *testing.B) {
	for _, noSync := range []bool{false, true} {
		for _, publishers := range []int{2, 8, 64} {
			b.Run(fmt.Sprintf("sync=%v/publishers=%d", !noSync, publishers), func(b *testing.B) {
				q, c := openBench(b, noSync), newCodec(b)
				batch := exampleBatch(1)
				b.SetBytes(int64(len(batch.Data)))
				b.SetParallelism(max(1, publishers/runtime.GOMAXPROCS(0)))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						body, err := c.Encode(batch)
						if err == nil {
							_, err = q.Publish(b.Context(), "acme", Message{Kind: KindBatch, Body: body})
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)*eventsPerBatch/b.Elapsed().Seconds(), "events/s")
				s, err := q.Stats(b.Context(), "acme")
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(b.N)/float64(s.Frames), "batches/frame")
			})
		}
	}
}

// BenchmarkConsume is from the disk to unpacked batches.
func BenchmarkConsume(b *testing.B) {
	q, c := openBench(b, true), newCodec(b)
	batch := exampleBatch(1)
	body, err := c.Encode(batch)
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(16)
	var failed atomic.Bool
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := q.Publish(b.Context(), "acme", Message{Kind: KindBatch, Body: body}); err != nil {
				failed.Store(true)
			}
		}
	})
	if failed.Load() {
		b.Fatal("not all was published")
	}
	b.SetBytes(int64(len(batch.Data)))
	b.ResetTimer()
	n := 0
	err = q.Consume(b.Context(), "acme", 0, func(d Delivery) error {
		if _, err := c.Decode(d.Body); err != nil {
			return err
		}
		if n++; n == b.N {
			return context.Canceled
		}
		return nil
	})
	if n != b.N {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)*eventsPerBatch/b.Elapsed().Seconds(), "events/s")
}
