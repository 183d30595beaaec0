"""HCMI Explorer: search a person's own videos by sentence, see why each moment was found, and teach the model.

Three flows, each handing one record to the next: INDEX (folder -> frames -> features -> store), SEARCH
(text -> candidates -> level scores -> explained hits) and TRAIN (captions -> kept features -> checkpoint).
"""
