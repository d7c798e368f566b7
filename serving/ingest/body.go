package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/braidhq/braid/serving/problem"
)

// budget is the memory that all requests share.
type budget struct{ left atomic.Int64 }

// share is what one request has taken of the budget.
type share struct {
	budget *budget
	taken  int64
}

func (b *budget) share() *share { return &share{budget: b} }

var errBusy = problem.New(http.StatusTooManyRequests, "busy", "too many events are on their way to the broker; send them again later")

func (s *share) take(n int64) error {
	if s.budget.left.Add(-n) < 0 {
		s.budget.left.Add(n)
		return errBusy
	}
	s.taken += n
	return nil
}

func (s *share) release() {
	s.budget.left.Add(s.taken)
	s.taken = 0
}

// readBody returns the decompressed body. What it holds counts against the budget from the first byte on.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, share *share) ([]byte, error) {
	limit := h.config.RequestBytes
	plain, done, err := decompress(r.Header.Values("Content-Encoding"), http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, err
	}
	defer done()
	var body bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= limit {
		if err := share.take(n); err != nil {
			return nil, err
		}
		body.Grow(int(n) + bytes.MinRead)
	}
	for chunk := int64(64 << 10); ; {
		n, err := io.CopyN(&body, plain, min(chunk, limit+1-int64(body.Len())))
		if more := int64(body.Len()) - share.taken; more > 0 {
			if err := share.take(more); err != nil {
				return nil, err
			}
		}
		switch {
		case int64(body.Len()) > limit:
			return nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			return body.Bytes(), nil
		case err != nil:
			return nil, unreadable(err, limit)
		case n == 0:
			return nil, unreadable(io.ErrNoProgress, limit)
		}
	}
}

func tooLarge(limit int64) problem.Details {
	return problem.New(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the request has more than %d bytes; send fewer events at a time", limit))
}

func unreadable(err error, limit int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(limit)
	}
	return problem.New(http.StatusBadRequest, "unreadable_body", "the body could not be read to its end: "+err.Error())
}

var (
	gzipReaders sync.Pool
	zstdReaders sync.Pool
)

// decompress undoes one content encoding. done gives the decompressor back.
func decompress(encodings []string, body io.Reader) (plain io.Reader, done func(), err error) {
	switch encoding := strings.ToLower(strings.TrimSpace(strings.Join(encodings, ","))); encoding {
	case "", "identity":
		return body, func() {}, nil
	case "gzip", "x-gzip":
		z, ok := gzipReaders.Get().(*gzip.Reader)
		if !ok {
			z = new(gzip.Reader)
		}
		if err := z.Reset(body); err != nil {
			return nil, nil, badEncoding("gzip", err)
		}
		return encoded{z, "gzip"}, func() { gzipReaders.Put(z) }, nil
	case "zstd":
		z, ok := zstdReaders.Get().(*zstd.Decoder)
		if !ok {
			// The window is memory per request: 8 MiB is what every zstd level up to 19 needs.
			if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true)); err != nil {
				return nil, nil, fmt.Errorf("zstd: %w", err)
			}
		}
		if err := z.Reset(body); err != nil {
			return nil, nil, badEncoding("zstd", err)
		}
		return encoded{z, "zstd"}, func() {
			if z.Reset(nil) == nil { // lets go of the body
				zstdReaders.Put(z)
			}
		}, nil
	default:
		return nil, nil, problem.New(http.StatusUnsupportedMediaType, "unknown_encoding", "the body's Content-Encoding is none of identity, gzip and zstd")
	}
}

func badEncoding(name string, err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return problem.New(http.StatusBadRequest, "bad_encoding", "the body is no valid "+name+": "+err.Error())
}

// encoded says which decompression failed.
type encoded struct {
	io.Reader
	name string
}

// Read implements io.Reader.
func (e encoded) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", e.name, err)
	}
	return n, err
}
