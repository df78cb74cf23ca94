package broker

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicKey names a topic as requests do: by name, or in newer ones by id.
type topicKey struct {
	name string
	id   [16]byte
}

// traffic is what one node saw of its clients. It outlives their connections.
type traffic struct {
	open, opened, in, out atomic.Int64

	mu       sync.Mutex
	produced map[topicKey]int64 // bytes of records
	fetched  map[topicKey]int64
}

func newTraffic() *traffic {
	return &traffic{produced: map[topicKey]int64{}, fetched: map[topicKey]int64{}}
}

// noteProduce counts the records that a client sends.
func (t *traffic) noteProduce(r *kmsg.ProduceRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, topic := range r.Topics {
		for _, partition := range topic.Partitions {
			t.produced[topicKey{topic.Topic, topic.TopicID}] += int64(len(partition.Records))
		}
	}
}

func (t *traffic) noteFetch(r *kmsg.FetchResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, topic := range r.Topics {
		for _, partition := range topic.Partitions {
			t.fetched[topicKey{topic.Topic, topic.TopicID}] += int64(len(partition.RecordBatches))
		}
	}
}

// replies reads what a node answers on one connection, of which it wants the
// fetched records. Its halves belong to the goroutines that read and write.
type replies struct {
	traffic *traffic

	mu    sync.Mutex
	asked map[int32]int16 // version of each fetch under way, by correlation id

	head []byte
	left int    // bytes of the frame still to come
	want bool   // the frame is a fetch's …
	as   int16  // … of this version …
	body []byte // … with this content so far
}

// expect notes a request on its way in.
func (r *replies) expect(key, version int16, correlation int32) {
	if key != kmsg.Fetch.Int16() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[correlation] = version
}

// note reads what is on its way out.
func (r *replies) note(p []byte) {
	for len(p) > 0 {
		if r.left == 0 {
			n := min(8-len(r.head), len(p))
			r.head, p = append(r.head, p[:n]...), p[n:]
			if len(r.head) == 8 {
				r.begin()
			}
			continue
		}
		n := min(r.left, len(p))
		if r.want {
			r.body = append(r.body, p[:n]...)
		}
		r.left, p = r.left-n, p[n:]
		if r.left == 0 && r.want {
			r.end()
		}
	}
}

func (r *replies) begin() {
	r.left = int(binary.BigEndian.Uint32(r.head)) - 4
	correlation := int32(binary.BigEndian.Uint32(r.head[4:]))
	r.head, r.body = r.head[:0], r.body[:0]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.as, r.want = r.asked[correlation], false
	if _, r.want = r.asked[correlation]; r.want {
		delete(r.asked, correlation)
	}
}

func (r *replies) end() {
	response := kmsg.NewPtrFetchResponse()
	response.SetVersion(r.as)
	body := r.body
	if response.IsFlexible() && len(body) > 0 {
		body = body[1:] // the tags of the header, of which brokers send none
	}
	if response.ReadFrom(body) == nil {
		r.traffic.noteFetch(response)
	}
}
