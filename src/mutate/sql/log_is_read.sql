select not exists (select from pgtrickle.pgt_dependencies where cdc_mode <> 'TRIGGER' and decoder_confirmed_lsn < $position)
