package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	flatbuffers "github.com/google/flatbuffers/go"
)

// errArrow is wrapped by errors about files that are no Arrow files, or cut short.
var errArrow = errors.New("not a whole Arrow file")

// columns are the buffers of one record batch, as they lie in the file: each column has validity and data, those of texts and bytes
// offsets between them.
type columns struct {
	rows    int
	buffers [][]byte
}

// readArrow finds the buffers of an Arrow file that lies in memory, without copying them: the library's reader copies every batch. The
// layout is that of the columnar format's specification (Arrow Columnar Format, "IPC File Format"); only uncompressed files without
// dictionaries are read.
func readArrow(file []byte) (schema *arrow.Schema, batches []columns, err error) {
	defer func() {
		if r := recover(); r != nil { // offsets that lead nowhere
			schema, batches, err = nil, nil, fmt.Errorf("%w: %v", errArrow, r)
		}
	}()
	reader, err := ipc.NewFileReader(bytes.NewReader(file))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errArrow, err)
	}
	defer reader.Close()
	schema = reader.Schema()
	end := len(file) - len(ipc.Magic) - 4
	size := int(binary.LittleEndian.Uint32(file[end:]))
	footer := root(file[end-size : end])
	const fieldBatches = 10
	at := flatbuffers.UOffsetT(footer.Offset(fieldBatches))
	if at == 0 {
		return schema, nil, nil
	}
	blocks := footer.Vector(at)
	for i := range footer.VectorLen(at) {
		block := flatbuffers.Struct{Table: flatbuffers.Table{Bytes: footer.Bytes, Pos: blocks + flatbuffers.UOffsetT(24*i)}}
		offset, meta, body := block.GetInt64(block.Pos), block.GetInt32(block.Pos+8), block.GetInt64(block.Pos+16)
		c, err := readBatch(file[offset:offset+int64(meta)], file[offset+int64(meta):offset+int64(meta)+body])
		if err != nil {
			return nil, nil, err
		}
		batches = append(batches, c)
	}
	return schema, batches, nil
}

func root(b []byte) *flatbuffers.Table {
	return &flatbuffers.Table{Bytes: b, Pos: flatbuffers.GetUOffsetT(b)}
}

func readBatch(meta, body []byte) (columns, error) {
	const continuation = 0xffffffff
	if binary.LittleEndian.Uint32(meta) == continuation {
		meta = meta[4:]
	}
	message := root(meta[4:])
	const fieldHeaderType, fieldHeader, headerRecordBatch = 6, 8, 3
	if at := message.Offset(fieldHeaderType); at == 0 || message.GetByte(message.Pos+flatbuffers.UOffsetT(at)) != headerRecordBatch {
		return columns{}, fmt.Errorf("%w: a message that is no record batch", errArrow)
	}
	var batch flatbuffers.Table
	message.Union(&batch, flatbuffers.UOffsetT(message.Offset(fieldHeader)))
	const fieldLength, fieldBuffers, fieldCompression = 4, 8, 10
	if batch.Offset(fieldCompression) != 0 {
		return columns{}, fmt.Errorf("%w: it is compressed", errArrow)
	}
	c := columns{}
	if at := batch.Offset(fieldLength); at != 0 {
		c.rows = int(batch.GetInt64(batch.Pos + flatbuffers.UOffsetT(at)))
	}
	at := flatbuffers.UOffsetT(batch.Offset(fieldBuffers))
	buffers := batch.Vector(at)
	for i := range batch.VectorLen(at) {
		pos := buffers + flatbuffers.UOffsetT(16*i)
		offset, length := batch.GetInt64(pos), batch.GetInt64(pos+8)
		c.buffers = append(c.buffers, body[offset:offset+length:offset+length])
	}
	return c, nil
}

// bytesAt returns a row of a column of bytes, given the number of its first buffer.
func (c columns) bytesAt(buffer, row int) []byte {
	offsets, data := c.buffers[buffer+1], c.buffers[buffer+2]
	from, to := binary.LittleEndian.Uint32(offsets[4*row:]), binary.LittleEndian.Uint32(offsets[4*row+4:])
	return data[from:to]
}

// valid reports whether a row of a column is not null.
func (c columns) valid(buffer, row int) bool {
	bits := c.buffers[buffer]
	return len(bits) == 0 || bits[row/8]>>(row%8)&1 == 1
}
