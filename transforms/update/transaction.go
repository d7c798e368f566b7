package update

// transaction collects what one commit demands and writes.
type transaction struct {
	keys       rowKeys
	conditions []Condition
	writes     []Write
}

func (t *transaction) demand(key []byte, v Version) {
	t.conditions = append(t.conditions, Condition{Key: key, Version: v})
}

func (t *transaction) write(key, value []byte) {
	t.writes = append(t.writes, Write{Key: key, Value: value})
}

// documents adds the working set: every row that was read is a condition, every row that changed is written. An identifier that
// was there needs no condition of its own, for it cannot move without its document's header changing.
func (t *transaction) documents(docs *Documents) error {
	for id, key := range docs.moved {
		t.write(t.keys.identifier(id), append([]byte(nil), key[:]...))
	}
	for _, id := range docs.absent {
		t.demand(t.keys.identifier(id), 0)
	}
	for _, e := range docs.dissolved {
		t.demand(t.keys.document(e.Key), e.version)
		t.write(t.keys.document(e.Key), nil)
		t.due(e, 0)
	}
	for _, e := range docs.documents {
		t.demand(t.keys.document(e.Key), e.version)
		for _, c := range e.cells {
			key := t.keys.cell(c.home, c.id)
			t.demand(key, c.version)
			if c.home != e.Key {
				t.write(key, nil)
			}
		}
		if e.header {
			header, err := e.MarshalHeader()
			if err != nil {
				return err
			}
			t.write(t.keys.document(e.Key), header)
		}
		if err := t.cells(e); err != nil {
			return err
		}
		t.due(e, e.PublishDue)
	}
	return nil
}

func (t *transaction) cells(e *entry) error {
	for _, c := range e.changed {
		row, err := c.Marshal()
		if err != nil {
			return err
		}
		t.write(t.keys.cell(e.Key, c.ID), row)
	}
	return nil
}

func (t *transaction) due(e *entry, at int64) {
	if at == e.due {
		return
	}
	if e.due != 0 {
		t.write(t.keys.due(e.Key, e.due), nil)
	}
	if at != 0 {
		t.write(t.keys.due(e.Key, at), e.Key[:])
	}
}

// outbox adds the effects of a bundle and returns the key of their row, nil when there are none.
func (t *transaction) outbox(o *outbox) ([]byte, error) {
	if len(o.effects) == 0 {
		return nil, nil
	}
	row, err := o.marshal()
	if err != nil {
		return nil, err
	}
	key := t.keys.outbox(o.partition, o.first)
	t.write(key, row)
	return key, nil
}
