select not exists (select from pgtrickle.pgt_dependencies where source_type = 'TABLE' and (cdc_mode <> 'WAL' or decoder_confirmed_lsn is null))
